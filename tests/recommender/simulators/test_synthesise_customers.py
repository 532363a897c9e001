"""A command makes up customers, and says how like the real ones they are."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audience.importing.copying import CustomerRow, import_customers

pytestmark = pytest.mark.django_db


def come(n: int) -> None:
    """Let customers come, each with a name, an address and habits."""
    rng = np.random.default_rng(1)
    import_customers(
        CustomerRow(
            f"c{number}",
            {
                "name": f"Person {number}",
                "city": str(rng.choice(["Rome", "Oslo"])),
                "age": int(rng.integers(18, 80)),
                "is_member": bool(rng.random() < 0.3),
                "address": {"street": f"Street {number}"},
                **({"score": float(rng.random())} if number % 2 else {}),
            },
        )
        for number in range(n)
    )


def synthesise(file: Path, **options: Any) -> tuple[str, list[dict[str, str]]]:
    said = io.StringIO()
    call_command("synthesise_customers", str(file), epochs=1, stdout=said, **options)
    with file.open(newline="") as lines:
        return said.getvalue(), list(csv.DictReader(lines))


def test_customers_are_made_up_without_what_names_anybody(tmp_path: Path) -> None:
    come(200)
    said, rows = synthesise(tmp_path / "made.csv", count=50)
    assert len(rows) == 50
    assert set(rows[0]) == {"customer", "age", "city", "is_member", "score"}
    assert {row["city"] for row in rows} <= {"Rome", "Oslo"}
    assert len({row["customer"] for row in rows}) == 50
    assert "Against 40 real ones" in said
    assert "Person" not in (tmp_path / "made.csv").read_text()


def test_attributes_are_chosen_by_name(tmp_path: Path) -> None:
    come(150)
    _, rows = synthesise(tmp_path / "made.csv", count=5, attributes="city,age")
    assert set(rows[0]) == {"customer", "city", "age"}


def test_too_few_customers_are_refused(tmp_path: Path) -> None:
    come(20)
    with pytest.raises(CommandError, match=r"takes 125 customers with attributes; of 20 customers"):
        synthesise(tmp_path / "made.csv")
