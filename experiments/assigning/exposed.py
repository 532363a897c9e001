"""Hears of `Experiment Viewed` events and records who met which arm, as the client says.

The event is that of Segment's specification of A/B tests; GrowthBook's libraries write its
properties in camel case: https://segment.com/docs/connections/spec/ab-testing/
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from audience.intake.listening import Told
from audience.intake.rejecting import record_rejections, reject
from experiments.assigning.exposures import Met, record_late_exposures

# As Segment, and as Google's tag and GrowthBook's plugins for it, name the event.
NAMES = frozenset({"Experiment Viewed", "experiment_viewed"})
EXPERIMENT = ("experiment_id", "experimentId")
EXPERIMENT_NAME = ("experiment_name", "experimentName")
ARM = ("variation_id", "variationId")
ARM_NAME = ("variation_name", "variationName")
PLACE = re.compile(r"[0-9]{1,3}\Z")

FIND = """
    SELECT experiment.id, experiment.key, experiment.name, experiment.started_at,
           experiment.stopped_at,
           ARRAY(SELECT id FROM experiments_arm
                 WHERE experiment_id = experiment.id ORDER BY position, id) AS arm_ids,
           ARRAY(SELECT key FROM experiments_arm
                 WHERE experiment_id = experiment.id ORDER BY position, id) AS arm_keys,
           ARRAY(SELECT name FROM experiments_arm
                 WHERE experiment_id = experiment.id ORDER BY position, id) AS arm_names,
           ARRAY(SELECT CASE WHEN NOT experiment.is_holdout THEN halted_at END
                 FROM experiments_arm
                 WHERE experiment_id = experiment.id ORDER BY position, id) AS arm_halts
    FROM experiments_experiment AS experiment
    WHERE experiment.key = ANY(%(said)s) OR experiment.name = ANY(%(said)s)
    ORDER BY experiment.id
"""


class Unknown(ValueError):
    """An exposure that cannot be recorded, and why, in words for the client's developer."""


@dataclass(frozen=True, slots=True)
class Known:
    """An experiment as clients may name it; its arms in their order."""

    id: int
    key: str
    name: str
    started_at: datetime | None
    stopped_at: datetime | None
    arm_ids: Sequence[int]
    arm_keys: Sequence[str]
    arm_names: Sequence[str]
    arm_halts: Sequence[datetime | None]


async def record_views(connection: AsyncConnection[Any], stored: Sequence[Told]) -> None:
    """Record an exposure for each `Experiment Viewed`, at its time, in the transaction at hand.

    The event stays an event in any case. Why one counts for nothing is written down for the
    client's developer.
    """
    views = [told for told in stored if told.message.name in NAMES]
    if not views:
        return
    known = await _find(connection, views)
    met, rejections = [], []
    for told in views:
        try:
            met.append(_to_met(told, known))
        except Unknown as error:
            rejections.append(reject(told, str(error)))
    if met:
        latest_first = sorted(met, key=lambda each: each.at, reverse=True)
        firsts = {(each.experiment_id, each.customer_id): each for each in latest_first}
        await record_late_exposures(connection, list(firsts.values()))
    await record_rejections(connection, rejections)


async def _find(connection: AsyncConnection[Any], views: Sequence[Told]) -> Sequence[Known]:
    said = {
        name
        for told in views
        for name in (
            _said(told.message.properties, EXPERIMENT),
            _said(told.message.properties, EXPERIMENT_NAME),
        )
        if name is not None
    }
    async with connection.cursor(row_factory=class_row(Known)) as cursor:
        await cursor.execute(FIND, {"said": sorted(said)})
        return await cursor.fetchall()


def _to_met(told: Told, known: Sequence[Known]) -> Met:
    """Read one view.

    Raises:
        Unknown: It names no experiment or arm of ours, or the experiment did not run then.
    """
    properties, at = told.message.properties, told.message.occurred_at
    experiment = _experiment_of(properties, known)
    place = _place_of(properties, experiment)
    if experiment.started_at is None or at < experiment.started_at:
        raise Unknown(f"The experiment {experiment.key!r} had not started then.")
    if experiment.stopped_at is not None and at > experiment.stopped_at:
        raise Unknown(f"The experiment {experiment.key!r} had ended by then.")
    halted_at = experiment.arm_halts[place]
    if halted_at is not None and at > halted_at:
        # Its customers get what the control gets since then, and nobody new meets it.
        raise Unknown(f"The arm {experiment.arm_keys[place]!r} had been halted by then.")
    return Met(experiment.id, told.customer_id, experiment.arm_ids[place], at)


def _experiment_of(properties: Mapping[str, Any], known: Sequence[Known]) -> Known:
    """Return the experiment, named by its key or else by its name.

    Raises:
        Unknown: It is not named, or there is none or more than one such.
    """
    key, name = _said(properties, EXPERIMENT), _said(properties, EXPERIMENT_NAME)
    if key is None and name is None:
        raise Unknown("An Experiment Viewed event needs experiment_id.")
    by_key = [each for each in known if each.key == key]
    by_name = [each for each in known if each.name in (key, name)]
    found = by_key or by_name
    if len(found) != 1:
        raise Unknown(f"No experiment has the key {(name if key is None else key)!r}.")
    return found[0]


def _place_of(properties: Mapping[str, Any], experiment: Known) -> int:
    """Return an arm's place, from 0 on: it is named by its key, by its place, or by its name.

    Raises:
        Unknown: It is not named, or there is none or more than one such.
    """
    key, name = _said(properties, ARM), _said(properties, ARM_NAME)
    if key is None and name is None:
        raise Unknown("An Experiment Viewed event needs variation_id.")
    if key in experiment.arm_keys:
        return experiment.arm_keys.index(key)
    if key is not None and PLACE.match(key) and int(key) < len(experiment.arm_ids):
        return int(key)
    for each in (name, key):
        for names in (experiment.arm_keys, experiment.arm_names):
            if each is not None and list(names).count(each) == 1:
                return names.index(each)
    raise Unknown(
        f"The experiment {experiment.key!r} has no arm {(name if key is None else key)!r}."
    )


def _said(properties: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the first of some properties that is a text or a whole number, as text."""
    for name in names:
        value = properties.get(name)
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return str(value)
    return None
