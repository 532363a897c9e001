"""The audience app."""

from django.apps import AppConfig


class AudienceConfig(AppConfig):
    """Who?"""

    name = "audience"
