"""The campaigns app."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """What do we say, where, to whom?"""

    name = "campaigns"
