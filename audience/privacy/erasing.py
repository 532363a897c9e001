"""Erases a person from every table, the lake, and Valkey, and proves that nothing is left.

A crash at any point leaves what is taken up again: everything before the one transaction that
removes the person's own rows can be done twice, and so can what comes after it, which removes
copies and searches. Until that is done, the proof itself keeps the names to search for.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import OperationalError, connection, models, transaction

from audience.consent.suppression import hash_address, suppress
from audience.models import (
    AuditEntry,
    Channel,
    Consent,
    ConsentState,
    Customer,
    Erasure,
    Identity,
    ReceivedMessage,
    SuppressionReason,
)
from audience.privacy import columns, keyvalue
from audience.privacy.identifiers import Person, find_person, pattern_of
from audience.privacy.tables import Tables, check_tables

logger = logging.getLogger(__name__)

# Others may want the same rows in another order, and then one of us begins again.
TRIES = 5
# Removing copies and searching takes no longer, so whoever began it is dead by then.
UNFINISHED_AFTER = timedelta(minutes=10)
UNSEARCHED = "audience_erasure.unsearched"
FORGET_MESSAGES = """
    DELETE FROM audience_receivedmessage AS message USING audience_event AS event
    WHERE event.customer_id = ANY(%s)
      AND message.source_id = event.source_id AND message.message_id = event.message_id
"""


class Unerased(Exception):
    """A person could not be erased now, and why; nothing is lost, and it may be tried again."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where, besides the database, a person is kept on this machine's disks.

    Attributes:
        lake: The folder of the lake, where there is one.
        clear: Removes what waits on disk of a person, and returns how many lines.
        count: Counts what waits there still.
    """

    lake: Path | None
    clear: Callable[[Person], int]
    count: Callable[[Person], int]


def request_erasure(customer: Customer, *, by: AbstractBaseUser | str, now: datetime) -> Erasure:
    """Note the wish to erase a person; a worker takes it up."""
    root = customer.merged_into or customer
    erasure, _is_new = Erasure.objects.get_or_create(
        customer_id=root.pk,
        defaults={
            "key_hash": hash_address(root.external_key),
            "requested_by": str(by)[:150],
            "requested_at": now,
        },
    )
    return erasure


def erase(erasure: Erasure, *, tables: Tables, files: Files, now: datetime) -> Erasure:
    """Erase the person of a wish everywhere, and search for what is left.

    Raises:
        ValueError: A table refers to customers and nobody said what becomes of its rows.
        Unerased: Somebody else changes the same person all the time.
    """
    if unstated := check_tables(tables).fields:
        raise ValueError(f"Say in `Tables` what erasing does with {', '.join(unstated)}.")
    customer = Customer.objects.filter(pk=erasure.customer_id or 0).first()
    if customer is None:
        Erasure.objects.filter(pk=erasure.pk).update(customer_id=None, erased_at=now, left={})
        erasure.refresh_from_db()
        return erasure
    lake = None if files.lake is None else import_module("audience.privacy.lake_files")
    with nullcontext() if lake is None else lake.held_lake():
        _erase_rows(erasure, customer, tables=tables, files=files, now=now)
    return finish(erasure, files=files)


def find_unsearched(*, now: datetime) -> "models.QuerySet[Erasure]":
    """Find erasures that a worker began and did not search after."""
    return Erasure.objects.filter(unsearched__isnull=False, erased_at__lt=now - UNFINISHED_AFTER)


def finish(erasure: Erasure, *, files: Files) -> Erasure:
    """Remove the copies of somebody whose rows are deleted, and search for what is left."""
    assert erasure.unsearched is not None, "its rows are deleted"
    person = Person.from_json(erasure.unsearched["person"])
    removed = dict(erasure.removed)
    if files.lake is not None and (replaced := erasure.unsearched["replaced"]):
        import_module("audience.privacy.lake_files").remove_files(files.lake, replaced)
        removed["lake"] = len(replaced)
    _add(removed, {"valkey": keyvalue.remove_names(person.texts), "spool": files.clear(person)})
    erasure.removed = {name: count for name, count in sorted(removed.items()) if count}
    erasure.left = find_left(person, files=files)
    erasure.unsearched = None
    erasure.save(update_fields=["removed", "left", "unsearched"])
    logger.info("A customer was erased: %s", erasure.removed)
    if erasure.left:
        logger.warning("Of a customer who was erased there is left: %s", erasure.left)
    return erasure


def find_left(person: Person, *, files: Files) -> Mapping[str, int]:
    """Search every text of every table, the lake, Valkey and the spool for a person's names."""
    left = dict(columns.count_matches(pattern_of(person.texts)))
    # The names that this is looked for by.
    left.pop(UNSEARCHED, None)
    if files.lake is not None and files.lake.exists():
        lake = import_module("audience.privacy.lake_files")
        left["lake"] = lake.count_left(files.lake, person.ids, person.distinct_texts)
    left["valkey"] = keyvalue.count_names(person.texts)
    left["spool"] = files.count(person)
    return {name: count for name, count in left.items() if count}


def _erase_rows(
    erasure: Erasure, customer: Customer, *, tables: Tables, files: Files, now: datetime
) -> None:
    """Take the person out of others' rows and of files, then delete the person's own rows."""
    removed: dict[str, int] = {}
    for _ in range(TRIES):
        person = find_person(customer)
        keep_refusals(person, now=now)
        _add(removed, clean_others(person, tables=tables))
        _add(removed, {"spool": files.clear(person)})
        replaced = _clean_lake(person, files.lake)
        try:
            with transaction.atomic():
                _lock(person)
                if find_person(customer) != person:
                    # A visitor turned out to be this person meanwhile.
                    continue
                _add(removed, delete_rows(person, tables=tables))
                Erasure.objects.filter(pk=erasure.pk).update(
                    customer_id=None,
                    erased_at=now,
                    removed=removed,
                    unsearched={"person": person.to_json(), "replaced": list(replaced)},
                )
        except OperationalError as error:
            logger.warning("A customer cannot be erased yet: %s", error)
            continue
        erasure.refresh_from_db()
        return
    raise Unerased("Others change this customer all the time; try again later.")


def keep_refusals(person: Person, *, now: datetime) -> None:
    """Keep, as hashes, the addresses of somebody who does not want to be written to."""
    said = Consent.objects.filter(customer__in=person.ids, state=ConsentState.OPTED_OUT)
    for channel in said.values_list("channel", flat=True).distinct():
        addresses = person.addresses if channel == Channel.EMAIL else person.keys
        for address in addresses:
            suppress(
                address, channel=Channel(channel), reason=SuppressionReason.UNSUBSCRIBED, now=now
            )


def clean_others(person: Person, *, tables: Tables) -> Mapping[str, int]:
    """Take a person's names out of rows that are not the person's own."""
    # To lose another's rejected event or message id does no harm.
    pattern = pattern_of(person.texts, is_loose=True)
    removed = {
        model._meta.db_table: columns.delete_matches(model._meta.db_table, pattern)
        for model in tables.naming
    }
    skipped = {model._meta.db_table for model in (*tables.naming, *tables.untouched)}
    distinct = pattern_of(person.distinct_texts)
    if not distinct:
        return removed
    # What was changed is recorded with what was before, so that record is cleaned last.
    last = AuditEntry._meta.db_table
    found = columns.by_table(columns.find_columns())
    for table, all_ in sorted(found.items(), key=lambda item: item[0] == last):
        texts = [one for one in all_ if not columns.is_machine_name(one)]
        if table not in skipped and texts:
            removed[f"{table} (names)"] = columns.take_out(table, texts, distinct)
    return removed


def delete_rows(person: Person, *, tables: Tables) -> Mapping[str, int]:
    """Delete a person's own rows, in the transaction at hand."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET_MESSAGES, [list(person.ids)])
        removed: dict[str, int] = {ReceivedMessage._meta.db_table: cursor.rowcount}
    for undo in tables.undo:
        _add(removed, undo(person.ids))
    for rows in tables.rows:
        deleted = rows.of(person.ids)._raw_delete(using="default")
        _add(removed, {rows.model._meta.db_table: deleted})
    return removed


def _clean_lake(person: Person, directory: Path | None) -> Sequence[str]:
    if directory is None or not directory.exists():
        return []
    lake: Any = import_module("audience.privacy.lake_files")
    replaced: Sequence[str] = lake.write_without(directory, person.ids, person.distinct_texts)
    return replaced


def _lock(person: Person) -> None:
    """Keep everybody else from adding to a person; in the order in which the intake locks."""
    identities = Identity.objects.select_for_update().filter(customer__in=person.ids)
    list(identities.order_by("value").values_list("pk"))
    customers = Customer.objects.select_for_update().filter(pk__in=person.ids)
    list(customers.order_by("external_key").values_list("pk"))


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count
