"""`manage.py openapi`: write down the API's document anew."""

from django.core.management.base import BaseCommand

from config.openapi.document import WRITTEN, to_json


class Command(BaseCommand):
    """Write `docs/openapi.json`, which a test holds against the code."""

    help = "Write docs/openapi.json anew, after what the API takes or answers was changed."

    def handle(self, *args: object, **options: object) -> None:
        """Write the file."""
        WRITTEN.write_bytes(to_json())
        self.stdout.write(f"Wrote {WRITTEN.name}.")
