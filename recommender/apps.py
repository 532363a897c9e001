"""The recommender app."""

from django.apps import AppConfig


class RecommenderConfig(AppConfig):
    """What to show, and what will happen?"""

    name = "recommender"
