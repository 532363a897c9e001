"""The columns that rules ask, and for which people a rule holds.

It means the same as `audience/rules/evaluation.py` and `sql.py`; a test holds them together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audience.columns.coded import Coded, Truths, to_microseconds
from audience.columns.growing import Growing
from audience.columns.happenings import Happenings
from audience.rules.grammar import (
    All,
    Events,
    Happened,
    In,
    Known,
    Last,
    Listed,
    Not,
    Rule,
    Some,
    Total,
    Window,
)

Leaf = Known | Happened | Last | Total | In | Listed

# Sums of fewer cents are exact as floats.
EXACT = 2.0**53
HALF = 32


@dataclass(slots=True)
class World:
    """All that was asked for, as of one moment.

    Customers have places, in the order of their coming.

    Attributes:
        ids: The id of the customer at each place.
        owners: The place of the customer that each one turned out to be, or its own.
        owners_version: Grows with each change of the owners.
        attributes: By their paths.
        events: By their names.
        lists: The places of customers on lists, by the lists' ids.
    """

    ids: Growing[np.int64] = field(default_factory=lambda: Growing(np.int64))
    owners: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))
    owners_version: int = 0
    attributes: dict[str, Coded] = field(default_factory=dict)
    events: dict[str, Happenings] = field(default_factory=dict)
    lists: dict[int, NDArray[np.int32]] = field(default_factory=dict)

    def find(self, rules: Sequence[Rule], *, now: datetime) -> list[Truths]:
        """Return for each rule and each place whether it is a person for whom the rule holds."""
        people = self.people()
        # What several rules ask is worked out once. Not by the tests themselves: 1 equals True.
        known: dict[str, Truths] = {}
        for test in chain.from_iterable(map(find_tests, rules)):
            name = repr(test)
            if name not in known:
                known[name] = self._test(test, now)
        return [self._find(rule, known) & people for rule in rules]

    def people(self) -> Truths:
        """Return for each place whether it is a person, not another name of one."""
        owners = self.owners.view()
        people: Truths = owners == np.arange(len(owners), dtype=np.int32)
        return people

    def _find(self, rule: Rule, known: Mapping[str, Truths]) -> Truths:
        match rule:
            case All(parts):
                found = np.ones(len(self.ids), np.bool_)
                for part in parts:
                    found &= self._find(part, known)
                return found
            case Some(parts):
                found = np.zeros(len(self.ids), np.bool_)
                for part in parts:
                    found |= self._find(part, known)
                return found
            case Not(part):
                return ~self._find(part, known)
        return known[repr(rule)]

    def _test(self, rule: Leaf, now: datetime) -> Truths:
        match rule:
            case Known(named):
                return self.attributes[named.path].mask(named.test, now=now)
            case Happened():
                return self._happened(rule, now)
            case Last(events, days, longer_ago):
                recent = self._some(events, Window(days=days), now)
                return self._some(events, Window(), now) & ~recent if longer_ago else recent
            case Total():
                return self._total(rule, now)
            case Listed(audience_id):
                found = np.zeros(len(self.ids), np.bool_)
                found[self.owners.view()[self.lists[audience_id]]] = True
                return found
        raise ValueError(f"The audience {rule.audience} is not put in its place.")

    def _happened(self, rule: Happened, now: datetime) -> Truths:
        if rule.least == 1 and rule.most is None:
            return self._some(rule.events, rule.events.window, now)
        times = np.zeros(len(self.ids), np.intp)
        for who, _ in self._find_events(rule.events, now):
            times += np.bincount(who, minlength=len(times))
        return (times >= rule.least) & (True if rule.most is None else times <= rule.most)

    def _some(self, events: Events, window: Window, now: datetime) -> Truths:
        found = np.zeros(len(self.ids), np.bool_)
        for who, _ in self._find_events(Events(events.name, events.where, window), now):
            found[who] = True
        return found

    def _find_events(
        self, events: Events, now: datetime
    ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        """Return whose the events are, and their cents, in parts."""
        block = self.events[events.name]
        people = block.people(self.owners.view(), version=self.owners_version)
        masks = [block.properties[named.path].mask(named.test, now=now) for named in events.where]
        for rows in block.between(*_bounds(events.window, now)):
            who, cents = people[rows], block.cents.view()[rows]
            if masks:
                which = np.logical_and.reduce([mask[rows] for mask in masks])
                who, cents = who[which], cents[which]
            yield who, cents

    def _total(self, rule: Total, now: datetime) -> Truths:
        n = len(self.ids)
        if self.events[rule.events.name].weight < EXACT:
            total = np.zeros(n)
            for who, cents in self._find_events(rule.events, now):
                total += np.bincount(who, weights=cents, minlength=n)
            return _compare(total, rule)
        # In two halves, whose sums are exact: of quadrillions, an int64 holds a hundred.
        low, high = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for who, cents in self._find_events(rule.events, now):
            low += np.bincount(who, cents & (2**HALF - 1), minlength=n).astype(np.int64)
            high += np.bincount(who, cents >> HALF, minlength=n).astype(np.int64)
        return _compare((high + (low >> HALF)).astype(object) * 2**HALF + low % 2**HALF, rule)


def _bounds(window: Window, now: datetime) -> tuple[int | None, int]:
    """Return from when until before when events count, in microseconds."""
    lows, highs = [], [to_microseconds(now) + 1]
    if window.days is not None:
        lows.append(to_microseconds(now - timedelta(window.days)) + 1)
    if window.since is not None:
        lows.append(to_microseconds(window.since))
    if window.until is not None:
        highs.append(to_microseconds(window.until))
    return max(lows, default=None), min(highs)


def _compare(cents: NDArray[Any], rule: Total) -> Truths:
    met = cents >= rule.cents if rule.order == "at_least" else cents <= rule.cents
    return met.astype(np.bool_)


@dataclass(slots=True)
class Wanted:
    """What rules ask for.

    Attributes:
        attributes: Paths.
        events: Names, each with paths of properties.
        lists: Ids.
    """

    attributes: set[str] = field(default_factory=set)
    events: dict[str, set[str]] = field(default_factory=dict)
    lists: set[int] = field(default_factory=set)

    @classmethod
    def by(cls, *rules: Rule) -> "Wanted":
        """Return what rules ask for, none of which names an audience."""
        wanted = cls()
        for rule in rules:
            for test in find_tests(rule):
                match test:
                    case Known(named):
                        wanted.attributes.add(named.path)
                    case Listed(audience_id):
                        wanted.lists.add(audience_id)
                    case Happened() | Last() | Total():
                        paths = wanted.events.setdefault(test.events.name, set())
                        paths.update(named.path for named in test.events.where)
        return wanted


def find_tests(rule: Rule) -> Iterator[Leaf]:
    """Find the tests of a rule, which are no groups."""
    match rule:
        case All(parts) | Some(parts):
            for part in parts:
                yield from find_tests(part)
        case Not(part):
            yield from find_tests(part)
        case _:
            yield rule
