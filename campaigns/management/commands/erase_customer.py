"""Erase a customer everywhere, and say what was removed and what is left."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from audience.models import Customer
from audience.privacy.erasing import Unerased, request_erasure
from campaigns.privacy import erase_person


class Command(BaseCommand):
    """Erase one customer by key, at once."""

    help = "Erase a customer, with all events, decisions, messages and files, and prove it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("key", help="the customer's key")
        parser.add_argument("--by", default="command line", help="who asks, for the record")
        parser.add_argument("--yes", action="store_true", help="do not ask again")

    def handle(self, *, key: str, by: str, yes: bool, **options: Any) -> None:
        """Erase, search and report."""
        customer = Customer.objects.select_related("merged_into").filter(external_key=key).first()
        if customer is None:
            raise CommandError(f"There is no customer {key!r}.")
        if not yes and input(f"Erase {key!r} for good? Write the key again: ") != key:
            raise CommandError("Nothing was erased.")
        now = timezone.now()
        try:
            erasure = erase_person(request_erasure(customer, by=by, now=now), now=now)
        except Unerased as error:
            raise CommandError(str(error)) from error
        for name, count in erasure.removed.items():
            self.stdout.write(f"{count:>10,}  {name}")
        if erasure.left:
            left = ", ".join(f"{name} ({count:,})" for name, count in erasure.left.items())
            raise CommandError(f"The customer is erased, but is still named in: {left}.")
        self.stdout.write("Erased. A search of every text of every table found nothing left.")
