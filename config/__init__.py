"""Settings, addresses and entry points: what turns the apps into one system."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
