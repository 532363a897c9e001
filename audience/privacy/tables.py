"""Says of every table what erasing and exporting do with a person's rows in it.

`audience` speaks for its own tables; the apps above add theirs (`campaigns/privacy.py`). What
nobody spoke for is an error, not an oversight: `check_tables` finds it in the models themselves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import models

from audience.models import (
    Consent,
    ConsentChange,
    Customer,
    Event,
    Identity,
    Membership,
    ReceivedMessage,
    RejectedEvent,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """A person's rows in a table: all that lead to the customer by a path of Django's."""

    model: type[models.Model]
    path: str

    def of(self, customer_ids: Sequence[int]) -> "models.QuerySet[Any]":
        """Return the rows of these customers."""
        rows: models.QuerySet[Any] = self.model._base_manager.filter(
            **{f"{self.path}__in": customer_ids}
        )
        return rows


@dataclass(frozen=True, slots=True)
class Tables:
    """What is done with which table.

    Attributes:
        rows: A person's own rows: exported, and deleted in this order.
        naming: Tables whose rows are deleted if any text in them names the person.
        untouched: Tables in which a name of the person is somebody else's own, or an account's:
            it is reported and stays.
        undo: Takes what follows from the rows out of elsewhere, before they are deleted and in the
            same transaction; given the customers' ids, says how much of what that was.
    """

    rows: Sequence[Rows] = ()
    naming: Sequence[type[models.Model]] = ()
    untouched: Sequence[type[models.Model]] = ()
    undo: Sequence[Callable[[Sequence[int]], Mapping[str, int]]] = ()

    def __add__(self, other: "Tables") -> "Tables":
        """Return both, these first."""
        return Tables(
            (*self.rows, *other.rows),
            (*self.naming, *other.naming),
            (*self.untouched, *other.untouched),
            (*self.undo, *other.undo),
        )


AUDIENCE = Tables(
    rows=(
        Rows(Event, "customer"),
        Rows(Membership, "customer"),
        Rows(ConsentChange, "customer"),
        Rows(Consent, "customer"),
        Rows(Identity, "customer"),
        # Visitors before the customer whom they turned out to be.
        Rows(Customer, "merged_into"),
        Rows(Customer, "pk"),
    ),
    naming=(RejectedEvent, ReceivedMessage),
    # Others' own names; to erase them too is another person's erasure.
    untouched=(Customer, Identity),
)


@dataclass(frozen=True, slots=True)
class Unstated:
    """Relations that lead to a customer and that nobody said anything of."""

    fields: Sequence[str] = field(default_factory=tuple)


def check_tables(tables: Tables, *, among: Iterable[type[models.Model]] | None = None) -> Unstated:
    """Find relations that erasing would forget.

    These are foreign keys to a customer, and to rows that are deleted with one, in all models of
    the project.
    """
    stated = {(rows.model, rows.path.partition("__")[0]) for rows in tables.rows}
    personal = {rows.model for rows in tables.rows}
    found = [
        f"{model._meta.label}.{relation.name}"
        for model in (apps.get_models(include_auto_created=True) if among is None else among)
        for relation in model._meta.concrete_fields
        if relation.related_model in personal and (model, relation.name) not in stated
    ]
    return Unstated(tuple(found))
