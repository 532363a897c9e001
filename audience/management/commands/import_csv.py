"""Import customers or events from a CSV file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from audience.importing.copying import Imported, import_customers, import_events
from audience.importing.csv_files import read_customers, read_events
from audience.importing.csv_lines import Refused
from audience.incoming import Rejected
from audience.models import Source


class Command(BaseCommand):
    """Read a file, plain or gzip, and say what was new and what could not be taken."""

    help = (
        "Import customers (column `customer`, others are attributes) or events (columns "
        "`customer`, `event`, `time`, perhaps `value` and `message_id`, others are properties)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("what", choices=["customers", "events"])
        parser.add_argument("file", type=Path)
        parser.add_argument("--source", default="CSV import", help="under which name events come")

    def handle(self, *, what: str, file: Path, source: str, **options: Any) -> None:
        """Import the file."""
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        refused = Refused()
        with tqdm(total=file.stat().st_size, unit="B", unit_scale=True, desc=file.name) as bar:
            try:
                imported = self._import(what, file, source, refused=refused, bar=bar)
            except (Rejected, OSError) as error:
                raise CommandError(f"{file.name}: {error}") from error
        self.stdout.write(f"{imported.rows:,} {what} read, {imported.new:,} of them new.")
        if imported.known_orders:
            self.stdout.write(
                f"{imported.known_orders:,} of the others are of orders that were known already "
                "under another message id, and count once."
            )
        if refused.count:
            lines = "\n".join(refused.examples)
            raise CommandError(f"{refused.count:,} lines could not be taken:\n{lines}")

    def _import(
        self, what: str, file: Path, source: str, *, refused: Refused, bar: "tqdm[Any]"
    ) -> Imported:
        if what == "customers":
            return import_customers(read_customers(file, refused=refused, progress=bar.update))
        sender, _ = Source.objects.get_or_create(name=source)
        rows = read_events(file, now=timezone.now(), refused=refused, progress=bar.update)
        return import_events(rows, source=sender)
