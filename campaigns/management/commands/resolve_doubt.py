"""Say of all that a campaign has in doubt that it counts as sent, or is sent again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from campaigns.models import Campaign, Delivery, DeliveryState
from campaigns.sending.progress import find_doubtful, resolve_doubt

AT_ONCE = 1000


class Command(BaseCommand):
    """Resolve all of it, where there is more than somebody would tick on the page."""

    help = (
        "Resolve every message of a campaign that is in doubt, as after a restore. What counts as "
        "sent is followed by the campaign's next step; who is sent one again may get it twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("key", help="the campaign's key")
        deed = parser.add_mutually_exclusive_group(required=True)
        deed.add_argument("--sent", action="store_true", help="count them as sent")
        deed.add_argument("--again", action="store_true", help="send them again")

    def handle(self, *args: Any, key: str, again: bool, **options: Any) -> None:
        """Resolve some at a time; ended early, the others stay in doubt."""
        campaign = Campaign.objects.filter(key=key).select_related("experiment").first()
        if campaign is None:
            raise CommandError(f"No campaign has the key {key!r}.")
        doubtful = Delivery.objects.filter(campaign=campaign, state=DeliveryState.IN_DOUBT)
        resolved = 0
        with tqdm(total=doubtful.count(), desc=key, unit="messages") as bar:
            while some := find_doubtful(campaign, most=AT_ONCE):
                ids = [delivery.pk for delivery in some]
                resolved += resolve_doubt(campaign, ids, again=again, by=None, now=timezone.now())
                bar.update(len(some))
        deed = "are sent again" if again else "count as sent"
        self.stdout.write(f"{resolved:,} messages {deed}.")
