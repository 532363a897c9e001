"""After a restore: let nothing be sent a second time that was sent since the backup."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from campaigns.models import Campaign
from campaigns.sending.claiming import doubt_due
from campaigns.sending.enrolling import enrol, find_running


class Command(BaseCommand):
    """Put every message in doubt that a restored database would send now."""

    help = (
        "Run this after restoring a backup, before workers are started. Whatever was due until now "
        "may have been sent since the backup, and is put in doubt: nothing sends it by itself, and "
        "each campaign's page lets somebody count it as sent or send it."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Put down who would be written to, and doubt it."""
        now = timezone.now()
        with transaction.atomic():
            for campaign in find_running():
                # Who joined since the backup is not put down in it, and was written to as well.
                enrol(campaign, now=now)
            doubted = doubt_due(now=now)
        for campaign in Campaign.objects.filter(pk__in=doubted).order_by("key"):
            self.stdout.write(f"{campaign.key}: {doubted[campaign.pk]:,} in doubt")
        self.stdout.write(f"{sum(doubted.values()):,} messages are in doubt now.")
