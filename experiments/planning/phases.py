"""Says when an experiment's weights changed: before and after, customers had other chances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from experiments.models import PlanVersion
from experiments.plan import Plan
from experiments.planning.versions import read_plan

# So long after a change of weights old ones may still be served.
SETTLING = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Phases:
    """When each phase but the first began, and the weights that may have been served in each.

    Where there is only one phase its weights do not matter, and are not said.
    """

    starts: tuple[datetime, ...] = ()
    weights: tuple[tuple[Mapping[str, int], ...], ...] = (({},),)


def find_phases(changed_at: Sequence[datetime]) -> list[datetime]:
    """Begin each later version of the plan with a time in which some were served by the one before.

    A version that comes within that time ends it, so that every second phase is one in which the
    weights were sure.
    """
    settled = [at + SETTLING for at in changed_at]
    ended = [min(pair) for pair in zip(settled, changed_at[1:], strict=False)] + settled[-1:]
    return [moment for pair in zip(changed_at, ended, strict=True) for moment in pair]


def find_weights(versions: Sequence[PlanVersion]) -> Phases:
    """Find the phases to compare arms within; none where no version changed a weight."""
    weights = [_weights(read_plan(version)) for version in versions]
    if all(each == weights[0] for each in weights):
        return Phases()
    served: list[tuple[Mapping[str, int], ...]] = [(weights[0],)]
    for number in range(1, len(weights)):
        # A change that comes within the minute of another leaves the weights before both in doubt.
        hasty = [
            weights[earlier]
            for earlier in range(number - 1)
            if versions[number].valid_from - versions[earlier + 1].valid_from < SETTLING
        ]
        served += [(*hasty, weights[number - 1], weights[number]), (weights[number],)]
    starts = find_phases([version.valid_from for version in versions[1:]])
    return Phases(tuple(starts), tuple(served))


def _weights(plan: Plan) -> dict[str, int]:
    return {arm.key: arm.weight for arm in plan.arms}
