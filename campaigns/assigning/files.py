"""Writes who was assigned which offer, for an ad platform or a mail house, as CSV or Parquet."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from django.db.models import F
from django.db.models.fields.json import KeyTextTransform

from audience.csv_cells import write_lines
from audience.keeping.lake import open_duckdb
from campaigns.models import Assignment

COLUMNS = ("customer", "offer", "arm", "propensity", "decision_id")
CHUNK = 5_000


def find_rows(
    assignment: Assignment, *, attributes: Sequence[str] = (), with_nobodys: bool = False
) -> Iterator[Sequence[Any]]:
    """Return the rows of an assignment: `COLUMNS`, and then attributes as texts.

    Args:
        assignment: Which one.
        attributes: Names of customers' attributes to write as well.
        with_nobodys: Whether those who get no offer are written too, such as the hold-out's.
    """
    rows = assignment.customers.filter(decision_id__isnull=False).order_by("customer_id")
    if not with_nobodys:
        rows = rows.exclude(offer="")
    added = {
        f"attribute_{number}": KeyTextTransform(name, "customer__attributes")
        for number, name in enumerate(attributes)
    }
    named = rows.annotate(customer_key=F("customer__external_key"), **added)
    columns = ("customer_key", "offer", "arm", "propensity", "decision_id", *added)
    yield from named.values_list(*columns).iterator(chunk_size=CHUNK)


def write_csv(
    rows: Iterable[Sequence[Any]], *, attributes: Sequence[str] = ()
) -> Generator[str, None, None]:
    """Write rows as lines of CSV, under a line of names; no spreadsheet takes one for a formula."""
    yield from write_lines(chain([(*COLUMNS, *attributes)], rows))


def write_parquet(
    rows: Iterable[Sequence[Any]], target: Path, *, attributes: Sequence[str] = ()
) -> None:
    """Write rows as a Parquet file, every value as it is; attributes are texts.

    Raises:
        ValueError: An attribute is named twice, or as one of `COLUMNS`.
    """
    names = (*COLUMNS, *attributes)
    if len({name.lower() for name in names}) < len(names):
        raise ValueError(f"Columns need names of their own, not {', '.join(names)}.")
    types = {name: "DOUBLE" if name == "propensity" else "VARCHAR" for name in names}
    with TemporaryDirectory(dir=target.parent, prefix=".writing-") as scratch:
        plain, done = Path(scratch) / "rows.json", Path(scratch) / "rows.parquet"
        # JSON tells an empty text from one that is missing.
        with plain.open("wb") as file:
            for row in rows:
                file.write(msgspec.json.encode(dict(zip(names, row, strict=True))) + b"\n")
        with open_duckdb(Path(scratch)) as duck:
            read = duck.read_json(str(plain), columns=types, format="newline_delimited")
            read.write_parquet(str(done))
        done.replace(target)
