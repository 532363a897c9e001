"""An interval is explained step by step, on the scale on which it is even."""

import math
from dataclasses import replace

import pytest

from experiments.analysing.stages import explain
from experiments.looks import Look, judge, widen
from experiments.stats.estimate import Estimate, Inconclusive, Interval
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_proportions
from experiments.stats.sequential import Boundary

EARLY = Look(0.5, Boundary(0.5, 2.96, -2.2, 0, 0), 2, is_early=True)
STRICTER = Look(0.5, Boundary(0.5, 3.2, -2.5, 0, 0), 2, is_early=True)
LAST = Look(1.0, Boundary(1.0, 1.96, -1.96, 0, 0), 1, is_early=False, is_single=True)


def shares(x_t: int = 1200) -> Estimate:
    result = compare_proportions(x_c=1000, n_c=10_000, x_t=x_t, n_t=10_000)
    assert isinstance(result, Estimate)
    return result


def test_without_an_estimate_there_is_nothing_to_explain() -> None:
    nothing = Inconclusive("no")
    assert (
        explain(nothing, raw=nothing, uncapped=None, alone=None, among=None, higher_is_better=True)
        is None
    )


def test_every_step_is_named_once_and_the_last_is_the_widest() -> None:
    raw, sharper = shares(), replace(shares(), relative_interval=Interval(0.12, 0.29))
    found = explain(
        sharper, raw=raw, uncapped=shares(1210), alone=EARLY, among=STRICTER, higher_is_better=True
    )
    assert found is not None
    assert [stage.name for stage in found.stages] == [
        "measured", "capped", "adjusted", "looks", "together",
    ]  # fmt: skip
    widths = [stage.high - stage.low for stage in found.stages]
    assert widths[4] > widths[3] > widths[2]
    assert found.stages[3].low == pytest.approx(
        widen(
            sharper.relative_interval or Interval(0, 0), EARLY, confidence=0.95, is_lift=True,
            higher_is_better=True,
        ).low
    )  # fmt: skip


def test_one_look_at_the_end_adds_no_step() -> None:
    found = explain(
        shares(), raw=shares(), uncapped=None, alone=LAST, among=LAST, higher_is_better=True
    )
    assert found is not None
    assert [stage.name for stage in found.stages] == ["measured"]


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_what_was_needed_is_where_the_boundary_is_crossed(higher_is_better: bool) -> None:
    found = explain(
        shares(), raw=shares(), uncapped=None, alone=None, among=EARLY,
        higher_is_better=higher_is_better,
    )  # fmt: skip
    assert found is not None
    assert found.needed is not None
    low, high = found.needed
    assert low < 0 < high
    # The same noise around an effect just beyond, and just short of, what is needed.
    interval = shares().relative_interval
    assert interval is not None
    half = (math.log1p(interval.high) - math.log1p(interval.low)) / 2
    for end, crosses in ((high * 1.01, True), (high * 0.99, False), (low * 1.01, True)):
        z = math.log1p(end) / (half / 1.959964) * (1 if higher_is_better else -1)
        assert (z >= EARLY.boundary.upper or z <= EARLY.boundary.lower) is crosses


def test_without_a_lift_everything_is_a_difference() -> None:
    bare = compare_means(
        Moments(500, (-0.2,), ((1.0,),)), Moments(500, (0.1,), ((1.0,),)), confidence=0.95
    )
    assert isinstance(bare, Estimate)
    assert bare.relative is None
    found = explain(
        bare, raw=bare, uncapped=None, alone=EARLY, among=STRICTER, higher_is_better=True
    )
    assert found is not None
    assert not found.is_lift
    assert found.stages[0].point == bare.difference
    assert found.needed is not None
    error = bare.difference_interval.standard_error(confidence=0.95)
    assert found.needed == pytest.approx((-2.5 * error, 3.2 * error))
    # And the verdict agrees: 0.3 is called.
    assert judge(bare, STRICTER, higher_is_better=True) == "better"
    assert bare.difference > found.needed[1]


def test_secondary_metrics_have_nothing_that_was_needed() -> None:
    found = explain(
        shares(), raw=shares(), uncapped=None, alone=EARLY, among=None, higher_is_better=True
    )
    assert found is not None
    assert found.needed is None
    assert found.to_json()["needed"] is None
    bottom = replace(shares(), relative_interval=Interval(-1.0, 0.3))
    told = explain(
        bottom, raw=bottom, uncapped=None, alone=EARLY, among=EARLY, higher_is_better=True
    )
    assert told is not None
    assert told.needed is not None
    assert told.needed[0] >= -1.0
