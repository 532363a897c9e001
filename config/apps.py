"""Lets the roles be made after every migration."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SystemConfig(AppConfig):
    """The whole, as an app."""

    name = "config"

    def ready(self) -> None:
        """Make the roles once the last app's tables are there."""
        # Models come after the apps.
        from config.roles import make_roles

        post_migrate.connect(make_roles, sender=self)
