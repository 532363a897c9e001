"""Writes all that is known of a person as a ZIP of JSON and CSV files, one of each a table."""

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from audience.models import Customer
from audience.privacy import columns
from audience.privacy.identifiers import Person, find_person, pattern_of
from audience.privacy.tables import Tables

# What a spreadsheet would take for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
CHUNK = 2000
README = """All that is known of one customer, a file a table, as JSON and as CSV.

In the CSV files a text that a spreadsheet would take for a formula has an apostrophe before it.
"""


def export(customer: Customer, target: IO[bytes], *, tables: Tables) -> Mapping[str, int]:
    """Write a person's rows of all tables, and rows of others' that name the person.

    Args:
        customer: Any of the customers that the person is.
        target: A file to write to.
        tables: Which tables there are.

    Returns:
        How many rows of which table.
    """
    person = find_person(customer)
    counts: dict[str, int] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        for name, rows in _find(person, tables).items():
            counts[name] = counts.get(name, 0) + _write(archive, name, rows)
        archive.writestr("tables.json", json.dumps(counts, indent=2, sort_keys=True))
    return counts


def escape_cell(value: Any) -> str:
    """Write a value as a cell that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False).strip('"')
        if isinstance(value, int | float):
            return text
    return f"'{text}" if text.startswith(FORMULA) else text


def _find(person: Person, tables: Tables) -> Mapping[str, "models.QuerySet[Any]"]:
    """Return the rows of each table that are the person's, or that name the person."""
    found: dict[str, models.QuerySet[Any]] = {}
    for rows in tables.rows:
        # A table that the person is in by two paths is written once, by the broader of them.
        name = rows.model._meta.db_table
        own = rows.of(person.ids)
        found[name] = found[name] | own if name in found else own
    pattern = pattern_of(person.texts)
    for model in tables.naming:
        found[model._meta.db_table] = columns.matching(model, pattern)
    return found


def _write(archive: zipfile.ZipFile, name: str, rows: "models.QuerySet[Any]") -> int:
    """Write a table's rows to both files, a part of them at a time in memory."""
    names = [
        field.attname
        for field in rows.model._meta.concrete_fields
        if not isinstance(field, models.BinaryField | models.CompositePrimaryKey)
    ]
    count = 0
    with tempfile.TemporaryFile("w+", newline="", encoding="utf-8") as cells:
        writer = csv.writer(cells)
        writer.writerow(names)
        with archive.open(f"{name}.json", "w", force_zip64=True) as raw:
            raw.write(b"[")
            for row in _read(rows, names):
                document = json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False)
                raw.write((",\n" if count else "\n").encode() + document.encode())
                writer.writerow([escape_cell(value) for value in row.values()])
                count += 1
            raw.write(b"\n]\n")
        cells.seek(0)
        with (
            archive.open(f"{name}.csv", "w", force_zip64=True) as raw,
            io.TextIOWrapper(raw, encoding="utf-8", newline="") as text,
        ):
            while block := cells.read(1 << 16):
                text.write(block)
    return count


def _read(rows: "models.QuerySet[Any]", names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    yield from rows.order_by().values(*names).iterator(chunk_size=CHUNK)
