"""Writes down all that people settle about an experiment: what a reviewer approves, and its hash.

The plan says how results become a verdict; the design holds the plan and what customers get.
"""

import hashlib
from typing import Any

import msgspec

from experiments.models import Experiment
from experiments.planning.versions import draft_plan


def describe_design(experiment: Experiment) -> dict[str, Any]:
    """Read the design as plain JSON values."""
    group = experiment.group
    return {
        "hypothesis": experiment.hypothesis,
        "plan": draft_plan(experiment).to_json(),
        "payloads": {arm.key: arm.payload for arm in experiment.arms.all()},
        "audience": experiment.audience,
        "traffic": experiment.traffic,
        **({"holds out from everything": True} if experiment.is_global else {}),
        "group": group and [group.key, experiment.group_from, experiment.group_until],
        "requires": sorted(
            [row.arm.experiment.key, row.arm.key]
            for row in experiment.prerequisites.select_related("arm__experiment")
        ),
        "planned_end": experiment.planned_end and experiment.planned_end.isoformat(),
    }


def digest_design(experiment: Experiment) -> str:
    """Return the design's SHA-256: the same design, the same digest."""
    document = msgspec.json.encode(describe_design(experiment), order="sorted")
    return hashlib.sha256(document).hexdigest()
