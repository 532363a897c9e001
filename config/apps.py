"""Lets the roles be made after every migration."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class SystemConfig(AppConfig):
    """The whole, as an app."""

    name = "config"

    def ready(self) -> None:
        """Make the roles once the last app's tables are there.

        Django tells of every app that has models, one after the other, and so never of this one.
        """
        # Models come after the apps.
        from config.roles import make_roles

        *_, last = (app for app in apps.get_app_configs() if app.models_module is not None)
        post_migrate.connect(make_roles, sender=last)
