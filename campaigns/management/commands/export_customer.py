"""Write all that is known of a customer to a ZIP file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audience.models import Customer
from campaigns.privacy import export_person


class Command(BaseCommand):
    """Export one customer by key."""

    help = "Write all that is known of a customer to a ZIP file of JSON and CSV."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("key", help="the customer's key")
        parser.add_argument("file", type=Path, help="the ZIP file to make")

    def handle(self, *, key: str, file: Path, **options: Any) -> None:
        """Write the file, which nobody else may read."""
        customer = Customer.objects.filter(external_key=key).first()
        if customer is None:
            raise CommandError(f"There is no customer {key!r}.")
        try:
            file.touch(mode=0o600, exist_ok=False)
            with file.open("wb") as target:
                export_person(customer, target)
        except OSError as error:
            raise CommandError(f"{file}: {error}") from error
        self.stdout.write(f"Written to {file}.")
