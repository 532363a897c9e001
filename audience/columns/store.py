"""Keeps this process's columns up to the database, and finds in them for whom rules hold."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import compress
from threading import Lock
from typing import Any

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from audience.columns import reading
from audience.columns.coded import Coded, Truths
from audience.columns.happenings import Happenings
from audience.columns.places import Places
from audience.columns.world import Wanted, World
from audience.commerce import REPEATED
from audience.keeping.closing import find_closed
from audience.rules.grammar import Rule

# All that came in so long is read again for each question. A clock that is set back by more hides
# what is received meanwhile, until everything is read anew.
LAG = timedelta(seconds=10)
RENEWED_AFTER = timedelta(hours=12)
# Who has changed so often is read anew.
MOST_CHANGES = 100_000
# Of each kind; what was not asked for longest makes room.
MOST_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class Found:
    """For whom rules hold, as of a moment.

    Attributes:
        at: The moment.
        ids: The id of the customer at each place.
        masks: Of each rule, for each place, whether it is a person for whom it holds.
    """

    at: datetime
    ids: NDArray[np.int64]
    masks: Sequence[Truths]


class Store:
    """The columns of this process, one question at a time."""

    def __init__(self) -> None:
        """Begin without columns."""
        self._lock = Lock()
        self._world = World()
        # Of what was received before, all is here.
        self._since: datetime | None = None
        self._begun = datetime(1970, 1, 1, tzinfo=UTC)
        self._removals: tuple[Any, ...] = ()
        self._versions: dict[int, int] = {}
        self._places = Places()

    def forget(self) -> None:
        """Drop every column, to be read anew when asked for."""
        with self._lock:
            self._forget()

    def find(self, rules: Sequence[Rule]) -> Found:
        """Find for whom rules hold now, none of which names an audience."""
        wanted = Wanted.by(*rules)
        with self._lock:
            try:
                # Asked first: what ends meanwhile would be neither closed nor seen.
                closed = find_closed(lag=LAG)
                with _snapshot():
                    now = reading.read_now()
                    if now - self._begun > RENEWED_AFTER:
                        self._forget()
                        self._begun = now
                    self._refresh()
                    self._load(wanted)
            except BaseException:
                # Half of the columns may be of another moment than the rest.
                self._forget()
                raise
            self._since = closed or self._since
            masks = self._world.find(rules, now=now)
            # A copy: the next question may move them.
            return Found(now, self._world.ids.view().copy(), masks)

    def _forget(self) -> None:
        self._world = World()
        self._since = None
        self._versions = {}

    def _refresh(self) -> None:
        """Bring what is here up to the transaction at hand, or begin anew with the people."""
        removals = reading.read_removals()
        is_whole = self._since is not None and _removes_nothing(self._removals, removals)
        if not is_whole or not self._catch_up(self._since):
            self._forget()
            ids, owners = reading.read_people()
            self._add_customers(ids)
            self._set_owners(np.arange(len(ids), dtype=np.int32), self._places.find(owners))
        self._removals = removals

    def _catch_up(self, since: datetime | None) -> bool:
        """Add what came since a time; return whether it is not too much."""
        assert since is not None, "something was read before"
        world = self._world
        paths = list(world.attributes)
        changed = reading.read_changed(since, paths, most=MOST_CHANGES)
        received = reading.read_received(since, world.events, most=MOST_CHANGES)
        if changed is None or received is None:
            return False
        self._drop_renamed(reading.read_renamed(since))
        ids, owners, values = changed
        if len(ids):
            self._add_customers(ids[~np.isin(ids, self._world.ids.view())])
            places = self._places.find(ids)
            self._set_owners(places, self._places.find(owners))
            for path, column in zip(paths, values, strict=True):
                coded = world.attributes[path]
                coded.set(places, coded.encode(column))
        for name, found in received.items():
            if name in world.events:
                self._add_received(world.events[name], found)
        return True

    def _drop_renamed(self, ids: NDArray[np.int64]) -> None:
        """Leave out events that have another name now, which is read anew where it is asked for."""
        if not len(ids):
            return
        for name in REPEATED.values():
            self._world.events.pop(name, None)
        for block in self._world.events.values():
            block.drop(ids)

    def _add_received(self, block: Happenings, found: reading.Received) -> None:
        """Add the events that are not here yet; who asks what came lately is told some twice."""
        held = block.ids.view()
        fresh = ~np.isin(found.ids, held[held >= found.ids.min()])
        if not fresh.any():
            return
        block.add(
            found.ids[fresh],
            self._places.find(found.customers[fresh]),
            found.microseconds[fresh],
            found.cents[fresh],
            {
                path: coded.encode(compress(found.properties[path], fresh))
                for path, coded in block.properties.items()
            },
        )
        block.tidy()

    def _load(self, wanted: Wanted) -> None:
        """Read the columns that are wanted and not here."""
        world = self._world
        self._read_attributes([path for path in wanted.attributes if path not in world.attributes])
        self._read_events([name for name in wanted.events if name not in world.events])
        _touch(world.attributes, wanted.attributes)
        _touch(world.events, wanted.events)
        for name, paths in wanted.events.items():
            block = world.events[name]
            for path in paths - block.properties.keys():
                block.properties[path] = _read_property(block, name, path)
            _touch(block.properties, paths)
        versions = reading.read_versions(list(wanted.lists))
        for audience_id in wanted.lists:
            version = versions.get(audience_id)
            if self._versions.get(audience_id) != version or audience_id not in world.lists:
                places = self._places.find(reading.read_list(audience_id))
                world.lists[audience_id] = places
            self._versions[audience_id] = version or 0
        _touch(world.lists, wanted.lists)

    def _read_attributes(self, paths: Sequence[str]) -> None:
        world = self._world
        for path in paths:
            world.attributes[path] = Coded()
            world.attributes[path].resize(len(world.ids))
        for ids, values in reading.read_attributes(paths):
            places = self._places.find(ids)
            for path, column in zip(paths, values, strict=True):
                coded = world.attributes[path]
                coded.set(places, coded.encode(column))

    def _read_events(self, names: Sequence[str]) -> None:
        for name in names:
            self._world.events[name] = Happenings()
        for name, ids, customers, microseconds, cents in reading.read_events(names):
            places = self._places.find(customers)
            self._world.events[name].add(ids, places, microseconds, cents, {})
        for name in names:
            self._world.events[name].sort()

    def _set_owners(self, places: NDArray[np.int32], owners: NDArray[np.int32]) -> None:
        held = self._world.owners.view()
        if not np.array_equal(held[places], owners):
            held[places] = owners
            self._world.owners_version += 1

    def _add_customers(self, ids: NDArray[np.int64]) -> None:
        if not len(ids):
            return
        world = self._world
        first = len(world.ids)
        world.ids.add(ids)
        # Each is itself until it is said who else.
        world.owners.add(np.arange(first, len(world.ids), dtype=np.int32))
        for coded in world.attributes.values():
            coded.resize(len(world.ids))
        self._places = Places(world.ids.view())


def _removes_nothing(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    """Say whether nobody was erased, and no month dropped, between two looks."""
    (erased, months), (erased_before, months_before) = now, before
    return bool(erased == erased_before and set(months_before) <= set(months))


def _read_property(block: Happenings, name: str, path: str) -> Coded:
    coded = Coded()
    coded.resize(len(block.ids))
    places = Places(block.ids.view())
    for ids, values in reading.read_property(name, path):
        coded.set(places.find(ids), coded.encode(values))
    return coded


def _touch(columns: dict[Any, Any], wanted: Iterable[Any]) -> None:
    """Remember that columns are wanted now, and drop those that were not for longest."""
    named = list(wanted)
    for key in named:
        columns[key] = columns.pop(key)
    for key in list(columns)[: max(0, len(columns) - max(MOST_COLUMNS, len(named)))]:
        del columns[key]


@contextmanager
def _snapshot() -> Iterator[None]:
    """See the database as of one moment, unless a transaction of the caller's says what is seen."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


# The columns of this process.
STORE = Store()
