"""Looks at whom a draft of a rule means: how many, what each row does to it, and who they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from audience.audiences.saving import find_rules
from audience.columns.coded import Truths
from audience.columns.store import STORE, Found
from audience.models import Audience, AudienceKind, Customer
from audience.rules.draft import Draft
from audience.rules.grammar import All, Known, Listed, NoRule, Rule, parse_rule
from audience.rules.nesting import Find, inline
from audience.rules.wording import describe

SAMPLE = 10
# So many others are compared with; who has more looks for the rest by name.
MOST_OTHERS = 20
# A row that removes so much is probably a mistake.
NEARLY_ALL = 0.98


@dataclass(frozen=True, slots=True)
class RowLook:
    """What one row does.

    Attributes:
        number: Of the row on its page, from 1.
        narrows: Whether it can only remove people.
        is_alternative: Whether it is an alternative to a row before it.
        says: The row in words.
        alone: How many people meet it.
        before: How many were left by the rows before it.
        left: How many are left with it.
    """

    number: int
    narrows: bool
    is_alternative: bool
    says: str
    alone: int
    before: int
    left: int

    @property
    def removed(self) -> int:
        """How many it removes; below 0, how many it adds."""
        return self.before - self.left

    @property
    def share(self) -> float:
        """How much of those before it removes; below 0 if it adds."""
        return self.removed / self.before if self.before else 0.0

    @property
    def warning(self) -> str:
        """What is probably not meant by it, if anything."""
        if self.narrows and self.share >= NEARLY_ALL:
            return f"Row {self.number} removes {_percent(self.share)} of those before it."
        if self.before == self.left and (self.narrows or self.is_alternative):
            does = "adds nobody" if self.is_alternative else "removes nobody"
            return f"Row {self.number} {does}."
        return ""


@dataclass(frozen=True, slots=True)
class Look:
    """Whom a draft means, exactly as of a moment."""

    at: datetime
    people: int
    count: int
    rows: Sequence[RowLook]
    sample_ids: Sequence[int]

    @property
    def warnings(self) -> list[str]:
        """What is probably not meant."""
        if not self.people:
            return ["No customer is known yet: they come with events, or are imported."]
        if not self.count:
            return ["Nobody is in this audience."]
        return [warning for row in self.rows if (warning := row.warning)]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many people two audiences share."""

    audience: Audience
    size: int
    shared: int


def look_at(
    draft: Draft, *, own_key: str | None = None, numbers: Sequence[int] | None = None
) -> Look:
    """Count whom a draft means now, with and without its rows, and take a few of them.

    Args:
        draft: Any.
        own_key: Of the audience that it is to be the rule of.
        numbers: Of the rows on their page, where some are left out of the draft.

    Raises:
        NoRule: It names an audience that is not there, or itself.
    """
    find = find_rules()
    n = len(draft.rows)
    rules: list[Rule] = [All(()), *(draft.first(number) for number in range(1, n + 1))]
    rules += [row.rule for row in draft.rows]
    found = STORE.find([inline(rule, find, own_key=own_key) for rule in rules])
    counts = [int(np.count_nonzero(mask)) for mask in found.masks]
    names = dict(Audience.objects.values_list("key", "name"))
    kinds = [
        (
            draft.joined == "all" and (group.joined == "all" or len(group.rows) == 1),
            group.joined == "any" and place > 0,
        )
        for group in draft.groups
        for place in range(len(group.rows))
    ]
    rows = [
        RowLook(
            number=number,
            narrows=kinds[i][0],
            is_alternative=kinds[i][1],
            says=describe(row.rule, names),
            alone=counts[n + 1 + i],
            before=counts[i],
            left=counts[i + 1],
        )
        for i, (number, row) in enumerate(zip(numbers or range(1, n + 1), draft.rows, strict=True))
    ]
    return Look(found.at, counts[0], counts[n], rows, _take_some(found, found.masks[n]))


def find_sample(look: Look) -> list[Customer]:
    """Return a few of those whom a look found."""
    known = Customer.objects.in_bulk(list(look.sample_ids))
    return [known[id_] for id_ in look.sample_ids if id_ in known]


def find_overlaps(draft: Draft, *, own_key: str | None = None) -> list[Overlap]:
    """Count whom the draft shares with other audiences, the largest overlap first.

    Raises:
        NoRule: As `look_at`.
    """
    find = find_rules()
    others: list[tuple[Audience, Rule]] = []
    for audience in Audience.objects.exclude(key=own_key or "").order_by("-created_at"):
        rule = _find_rule(audience, find)
        if rule is not None and len(others) < MOST_OTHERS:
            others.append((audience, rule))
    own = inline(draft.rule, find, own_key=own_key)
    found = STORE.find([own, *(rule for _, rule in others)])
    first, *masks = found.masks
    overlaps = [
        Overlap(audience, int(np.count_nonzero(mask)), int(np.count_nonzero(mask & first)))
        for (audience, _), mask in zip(others, masks, strict=True)
    ]
    return sorted(overlaps, key=lambda overlap: (-overlap.shared, overlap.audience.name))


def count(rule: Rule) -> tuple[int, datetime]:
    """Count for how many people a rule holds now, and say when that is."""
    found = STORE.find([inline(rule, find_rules())])
    return int(np.count_nonzero(found.masks[0])), found.at


def paths_in(draft: Draft) -> list[str]:
    """Return the attributes that a draft names, to be shown with its sample."""
    paths = [row.test.named.path for row in draft.rows if isinstance(row.test, Known)]
    return list(dict.fromkeys(paths))


def _find_rule(audience: Audience, find: Find) -> Rule | None:
    """Return what an audience means; None if it means nothing any more."""
    if audience.kind == AudienceKind.LIST:
        return Listed(audience.pk)
    try:
        return inline(parse_rule(audience.rule), find, own_key=audience.key)
    except NoRule:
        return None


def _take_some(found: Found, mask: Truths) -> list[int]:
    """Take ids of a few people, evenly from old to new."""
    places: Any = np.flatnonzero(mask)
    picked = np.unique(np.linspace(0, len(places) - 1, SAMPLE).round().astype(np.int64))
    return [int(id_) for id_ in found.ids[places[picked]]] if len(places) else []


def _percent(share: float) -> str:
    return "all" if share >= 1 else f"{100 * share:.1f}%"
