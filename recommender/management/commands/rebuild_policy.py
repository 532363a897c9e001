"""`manage.py rebuild_policy KEY`: store what a policy's log comes to."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from recommender.learning.rebuilding import repair_sums
from recommender.models import Policy


class Command(BaseCommand):
    """Add up a policy's log anew; the next version that it publishes follows from that."""

    help = "Work a policy's sums out anew from the log of its decisions, and store them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("key", help="of the policy, which is that of its campaign")

    def handle(self, *, key: str, **options: Any) -> None:
        """Rebuild, and say how the sums were wrong."""
        policy = Policy.objects.filter(key=key).first()
        if policy is None:
            raise CommandError(f"No policy has the key {key}.")
        before = repair_sums(policy.pk)
        self.stdout.write(before.problem or "The sums were what the log says.")
