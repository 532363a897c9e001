"""`manage.py synthesise_customers FILE`: write made-up customers that are like the real ones."""

import csv
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from audience.customers.sampling import sample_attributes
from audience.models import Customer
from recommender.simulators.gan import LEAST_ROWS, GanSettings, TableGan
from recommender.simulators.tables import Row, fit_column
from recommender.simulators.usefulness import copied, pair_distance, single_distance

HELD_OUT = 0.2


class Command(BaseCommand):
    """Learn from customers' attributes and make up others, for tests and for a new site.

    Nobody is in the file: rows are drawn by a network that never sees a key. Attributes that name
    people, such as addresses, have to be left out by hand all the same, for a value that often
    comes is a value that can be drawn.
    """

    help = "Make up customers like the real ones, as CSV, and say how like they are."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path, help="where to write")
        parser.add_argument("--count", type=int, default=1_000, help="how many to make up")
        parser.add_argument("--attributes", help="which, between commas; else all plain ones")
        parser.add_argument("--epochs", type=int, default=GanSettings().epochs)
        parser.add_argument("--seed", type=int, default=0)

    def handle(self, *, file: Path, count: int, attributes: str | None, **options: Any) -> None:
        """Learn, write, and compare with customers that were kept aside."""
        wanted = attributes.split(",") if attributes else None
        rows = plain_rows(sample_attributes(), wanted=wanted)
        aside = round(len(rows) * HELD_OUT)
        unseen, seen = rows[:aside], rows[aside:]
        if len(seen) < LEAST_ROWS:
            raise CommandError(
                f"To learn from takes {round(LEAST_ROWS / (1 - HELD_OUT))} customers with "
                f"attributes; of {Customer.objects.count()} customers {len(rows)} have them."
            )
        settings = GanSettings(epochs=options["epochs"])
        with tqdm(total=settings.epochs, unit=" epochs", desc="learning") as bar:
            gan = TableGan(settings, seed=options["seed"])
            gan.fit(seen, progress=lambda epoch: bar.update())
        made = gan.sample(max(count, len(unseen)), seed=options["seed"])
        self._write(file, made[:count])
        columns = [fit_column(name, [row.get(name) for row in seen]) for name in seen[0]]
        alone = single_distance(made, unseen, columns)
        pairs = pair_distance(made, unseen, columns)
        near = copied(made, seen=seen, unseen=unseen, columns=columns)
        self.stdout.write(
            f"Wrote {count:,} customers to {file}. Against {len(unseen):,} real ones that were "
            f"kept aside: single attributes differ by {alone:.1%}, pairs by {pairs:.1%}; "
            f"{near:.0%} are nearer to one that was learned from (50% by chance)."
        )

    def _write(self, file: Path, made: list[dict[str, Any]]) -> None:
        today = f"{timezone.now():%Y%m%d}"
        with file.open("w", newline="") as target:
            writer = csv.DictWriter(target, ["customer", *made[0]])
            writer.writeheader()
            for number, row in enumerate(made):
                writer.writerow({"customer": f"synthetic-{today}-{number}", **row})


def plain_rows(rows: list[dict[str, Any]], *, wanted: list[str] | None) -> list[Row]:
    """Return rows of the wanted attributes, or of all whose values are plain and come twice."""
    names = wanted or sorted(
        name for name in {n for row in rows for n in row} if _is_plain(name, rows)
    )
    if not names:
        return []
    return [{name: row.get(name) for name in names} for row in rows]


def _is_plain(name: str, rows: list[dict[str, Any]]) -> bool:
    """Tell whether an attribute says something of many, and is no name of one."""
    values = [row[name] for row in rows if row.get(name) is not None]
    if not all(isinstance(value, str | int | float | bool) for value in values):
        return False
    is_number = all(isinstance(value, int | float) for value in values)
    return is_number or len(set(values)) <= len(values) / 2
