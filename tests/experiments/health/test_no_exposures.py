"""Arms without customers."""

from dataclasses import replace

import pytest

from experiments.health.base import HealthContext
from experiments.health.no_exposures import check_no_exposures
from tests.experiments.health.contexts import make_context, make_phase


def test_an_arm_that_stays_empty_blocks() -> None:
    # Half of 10 customers missing by chance: 2^-10 < .001.
    finding = check_no_exposures(make_context((5000, 10), (5000, 0)))
    assert finding is not None
    assert finding.severity == "blocking"
    assert finding.evidence == {"arms": ["B"], "probability": pytest.approx(2**-10)}
    assert "none of them in B" in finding.detail


def test_an_arm_that_is_empty_in_a_young_experiment_warns() -> None:
    finding = check_no_exposures(make_context((5000, 9), (5000, 0)))
    assert finding is not None
    assert finding.severity == "warning"


def test_an_arm_that_had_no_weight_before_is_only_judged_since() -> None:
    context = replace(
        make_context((5000, 100_003), (5000, 0)),
        phases=(make_phase((10_000, 100_000), (0, 0)), make_phase((5000, 3), (5000, 0))),
    )
    finding = check_no_exposures(context)
    assert finding is not None
    assert finding.severity == "warning"
    assert finding.evidence["probability"] == pytest.approx(2**-3)


@pytest.mark.parametrize(
    "fine",
    [
        make_context((5000, 0), (5000, 0)),
        make_context((5000, 7), (5000, 1)),
        make_context((5000, 7), (0, 0)),
    ],
    ids=["nobody came", "all have some", "empty by plan"],
)
def test_arms_with_customers_or_none_planned_are_fine(fine: HealthContext) -> None:
    assert check_no_exposures(fine) is None
