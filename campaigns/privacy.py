"""Says what erasing and exporting a person do with the tables of all apps, and with the spool.

What stored analyses, policies' sums and counters hold are sums over many customers: they name
nobody and stay as they are. `docs/privacy.md` says why for each table.
"""

import time
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from audience.models import Customer, Erasure
from audience.privacy.erasing import Files, erase, finish
from audience.privacy.exporting import export
from audience.privacy.identifiers import Person
from audience.privacy.tables import AUDIENCE, Rows, Tables
from campaigns.deciding.logbook import Unlogged
from campaigns.deciding.spool import REJECTED, SUFFIX, locked
from campaigns.models import Assigned, Delivery
from experiments.models import Exposure, Notice, Prediction, Subscriber
from recommender.learning.rebuilding import unlearn
from recommender.models import Decision, Reversal, Reward, TopPicks

# What is spooled is logged every second while the database can be reached.
PATIENCE_SECONDS = 10.0

TABLES = (
    Tables(
        rows=(
            Rows(Delivery, "customer"),
            Rows(Assigned, "customer"),
            Rows(Exposure, "customer"),
            Rows(Prediction, "customer"),
            Rows(Reward, "decision__customer"),
            Rows(Reversal, "customer"),
            Rows(Decision, "customer"),
            Rows(TopPicks, "customer"),
        ),
        naming=(LogEntry, Notice, Subscriber),
        # An account is closed by whoever runs the site.
        untouched=(User,),
        undo=(unlearn,),
    )
    + AUDIENCE
)


def files() -> Files:
    """Return where persons are kept on this machine's disks."""
    return Files(settings.LAKE_DIR, clear=clear_spool, count=count_spooled)


def export_person(customer: Customer, target: IO[bytes]) -> None:
    """Write all that is known of a person as a ZIP file."""
    export(customer, target, tables=TABLES)


def erase_person(erasure: Erasure, *, now: datetime) -> Erasure:
    """Erase the person of a wish everywhere."""
    remove_log_entries(erasure)
    return erase(erasure, tables=TABLES, files=files(), now=now)


def finish_erasure(erasure: Erasure) -> Erasure:
    """Go on with an erasure whose worker died when the rows were deleted."""
    return finish(erasure, files=files())


def remove_log_entries(erasure: Erasure) -> None:
    """Delete what the admin's log says of the customer, whose key may be a word of any kind."""
    if erasure.customer_id is not None:
        LogEntry.objects.filter(
            content_type__app_label="audience",
            content_type__model=Customer._meta.model_name,
            object_id=str(erasure.customer_id),
        ).delete()


def clear_spool(person: Person) -> int:
    """Remove decisions about a person that wait on disk; return how many lines held them.

    Files that a process holds are logged by it within a second, and are then rows.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    cleared = 0
    while True:
        naming = [path for path in _spooled() if _count(path, person)]
        if not naming:
            return cleared
        cleared += sum(_clear(path, person) for path in naming)
        if time.monotonic() > deadline:
            return cleared
        time.sleep(0.05)


def count_spooled(person: Person) -> int:
    """Count the lines on disk that hold decisions about a person."""
    return sum(_count(path, person) for path in _spooled())


def _spooled() -> list[Path]:
    directory = settings.SPOOL_DIR
    return [path for end in (SUFFIX, REJECTED) for path in sorted(directory.glob(f"*{end}"))]


def _count(path: Path, person: Person) -> int:
    try:
        with path.open("rb") as file:
            return sum(without(line, person) != line for line in file)
    except FileNotFoundError:
        return 0


def _clear(path: Path, person: Person) -> int:
    """Write a file without a person, unless a process holds it."""
    try:
        with path.open("r+b") as file:
            if not locked(file):
                return 0
            lines = file.readlines()
            kept = [without(line, person) for line in lines]
            file.seek(0)
            file.writelines(kept)
            file.truncate()
            return sum(old != new for old, new in zip(lines, kept, strict=True))
    except FileNotFoundError:
        return 0


def without(line: bytes, person: Person) -> bytes:
    """Return a line without what it says of a person, the same one where it says nothing.

    Several customers' decisions share a line; what was counted stays counted. A torn line that
    names the person, which nobody could log, goes.
    """
    try:
        unlogged = msgspec.json.decode(line, type=Unlogged)
    except msgspec.DecodeError:
        return b"" if any(text.encode() in line for text in person.distinct_texts) else line
    decisions = [one for one in unlogged.decisions if one.customer_key not in person.texts]
    met = [one for one in unlogged.met if one.customer_key not in person.texts]
    if len(decisions) == len(unlogged.decisions) and len(met) == len(unlogged.met):
        return line
    if not decisions:
        return b""
    return msgspec.json.encode(Unlogged(decisions, met, unlogged.added)) + b"\n"
