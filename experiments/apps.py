"""The experiments app."""

from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """Did it work?"""

    name = "experiments"
