"""The experiments that clients can ask for, in memory, as frozen values."""

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from audience.conditions import check
from experiments.assigning.assignment import ranges
from experiments.assigning.evaluation import GroupShare, RunningArm, RunningExperiment

logger = logging.getLogger(__name__)

Running = Mapping[str, RunningExperiment]

# A campaign's experiment is served by its campaign and has no audience of its own here.
# What was decided is served without an end: an arm that was shipped must not vanish from a shop
# because some date has passed. To end it, undo the decision.
EXPERIMENTS = """
    SELECT experiment.id, experiment.key, experiment.seed, experiment.status, experiment.audience,
           experiment.traffic, experiment.is_holdout, experiment.served_arm_id, experiment.metadata,
           experiment.group_from, experiment.group_until, exclusion.seed AS group_seed
    FROM experiments_experiment AS experiment
    LEFT JOIN experiments_exclusiongroup AS exclusion ON exclusion.id = experiment.group_id
    WHERE experiment.is_standalone
      AND (experiment.status IN ('running', 'paused')
           OR experiment.status = 'stopped' AND experiment.served_arm_id IS NOT NULL)
    ORDER BY experiment.id
"""
ARMS = """
    SELECT experiment_id, id, key, weight, payload, is_control,
           halted_at IS NOT NULL AS is_halted
    FROM experiments_arm WHERE experiment_id = ANY(%s) ORDER BY position, id
"""
# A hold-out that has ended holds nobody out any more.
PREREQUISITES = """
    SELECT prerequisite.experiment_id, required.key, arm.key AS arm_key, required.is_holdout
    FROM experiments_prerequisite AS prerequisite
    JOIN experiments_arm AS arm ON arm.id = prerequisite.arm_id
    JOIN experiments_experiment AS required ON required.id = arm.experiment_id
    WHERE prerequisite.experiment_id = ANY(%s)
      AND NOT (required.is_holdout AND required.status = 'stopped')
    ORDER BY prerequisite.id
"""


async def load_running(connection: AsyncConnection[Any]) -> Running:
    """Read, in three queries at one moment, what runs, is paused or was decided, by key."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor = connection.cursor(row_factory=dict_row)
        rows = await (await cursor.execute(EXPERIMENTS)).fetchall()
        ids = [row["id"] for row in rows]
        arms = _by_experiment(await (await cursor.execute(ARMS, [ids])).fetchall())
        required = _by_experiment(await (await cursor.execute(PREREQUISITES, [ids])).fetchall())
    running: dict[str, RunningExperiment] = {}
    for row in rows:
        id_ = row["id"]
        try:
            running[row["key"]] = _to_experiment(row, arms.get(id_, ()), required.get(id_, ()))
        except ValueError:
            # One damaged experiment must not keep the others from being served.
            logger.exception("The experiment %s cannot be served", row["key"])
    return MappingProxyType(running)


def _by_experiment(rows: Sequence[DictRow]) -> Mapping[int, Sequence[DictRow]]:
    found: dict[int, list[DictRow]] = {}
    for row in rows:
        found.setdefault(row["experiment_id"], []).append(row)
    return found


def _to_experiment(
    row: DictRow, arm_rows: Sequence[DictRow], required: Sequence[DictRow]
) -> RunningExperiment:
    """Make the frozen value.

    Raises:
        ValueError: Its audience is no condition, its arms have no control, or more than all weight.
    """
    check(row["audience"])
    arms = tuple(
        RunningArm(
            id=arm["id"],
            key=arm["key"],
            weight=arm["weight"],
            payload=arm["payload"],
            is_control=arm["is_control"],
            is_halted=arm["is_halted"] and not row["is_holdout"],
        )
        for arm in arm_rows
    )
    ranges([arm.weight for arm in arms], row["traffic"])
    control = next((arm for arm in arms if arm.is_control), None)
    if control is None:
        raise ValueError("none of its arms is the control")
    seed = row["group_seed"]
    return RunningExperiment(
        id=row["id"],
        key=row["key"],
        seed=row["seed"],
        arms=arms,
        control=control,
        audience=row["audience"],
        traffic=row["traffic"],
        group=None if seed is None else GroupShare(seed, row["group_from"], row["group_until"]),
        prerequisites=tuple((each["key"], each["arm_key"]) for each in required),
        holdouts=frozenset(each["key"] for each in required if each["is_holdout"]),
        served=next((arm for arm in arms if arm.id == row["served_arm_id"]), None),
        # Hold-outs are not paused, nor their arms halted. One that was, before that was refused,
        # holds the same customers out: with everybody held out no experiment would let anybody in.
        is_paused=row["status"] == "paused" and not row["is_holdout"],
        is_holdout=row["is_holdout"],
        metadata=row["metadata"],
    )
