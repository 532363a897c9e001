"""Comparisons are judged together in order of importance, with intervals that agree."""

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
import pytest

from experiments.analysing.comparing import Compared, compare_all, compare_segment, judge_segments
from experiments.analysing.phases import Phase
from experiments.measuring.layout import lay_out, read_metric
from experiments.plan import Plan, PlannedArm, PlannedMetric, RoleName
from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.moments import Moments

RNG = np.random.default_rng(31)
N = 4000
ARMS = (
    PlannedArm("c", "Control", 5000, True),
    PlannedArm("t", "New", 2500, False),
    PlannedArm("u", "Newer", 2500, False),
)


def metric(key: str, role: str, margin: float | None = None) -> PlannedMetric:
    # Each event has its own name, so each metric its own column.
    return PlannedMetric(key, key, "mean", {"event": key}, True, cast(RoleName, role), margin)


def judge(effects: Mapping[str, float], *metrics: PlannedMetric, **plan: str) -> list[Compared]:
    """Compare arms of which "t" has these effects, in standard errors, and "u" has none."""
    promised = Plan(ARMS, metrics, planned_customers=100, **plan)  # type: ignore[arg-type]
    layout = lay_out([read_metric(m) for m in promised.metrics], [], [[] for _ in metrics])
    error = math.sqrt(2 / N)
    base = np.zeros((N, len(metrics)))
    base[::2], base[1::2] = 1.0, -1.0
    shift = {"c": 0.0, "t": 1.0, "u": 0.0}
    moments = {
        arm: Moments.of(
            50.0 + base + by * error * np.array([effects.get(m.key, 0.0) for m in metrics])
        )
        for arm, by in shift.items()
    }
    return compare_all(promised, layout, [Phase.of_all(moments)])


def found(compared: list[Compared], arm: str = "t") -> dict[str, bool]:
    return {
        item.metric: item.ln_p_adjusted is not None and item.ln_p_adjusted < math.log(0.05)
        for item in compared
        if item.arm == arm
    }


GOAL, SECOND, THIRD = metric("goal", "goal"), metric("b", "secondary"), metric("c", "secondary")
SAFE = metric("safe", "guardrail", margin=0.05)


def test_secondary_metrics_are_found_only_behind_the_goal() -> None:
    behind = judge({"goal": 5.0, "b": 5.0}, GOAL, SECOND, THIRD)
    assert found(behind) == {"goal": True, "b": True, "c": False}
    alone = judge({"b": 5.0}, GOAL, SECOND, THIRD)
    assert found(alone) == {"goal": False, "b": False, "c": False}
    assert [item.together is None for item in alone if item.arm == "t"] == [False, True, True]


def test_a_margin_that_is_not_kept_closes_the_gate() -> None:
    wide = judge({"goal": 5.0, "b": 5.0}, GOAL, SAFE, SECOND)
    assert found(wide) == {"goal": True, "safe": False, "b": True}
    narrow = metric("safe", "guardrail", margin=1e-4)
    assert found(judge({"goal": 5.0, "b": 5.0}, GOAL, narrow, SECOND))["b"] is False


def test_harm_to_a_guardrail_is_seen_whatever_the_goal_does() -> None:
    assert found(judge({"safe": -5.0}, GOAL, SAFE))["safe"] is True


def test_each_metric_may_stand_by_itself() -> None:
    alone = judge({"b": 5.0}, GOAL, SECOND, THIRD, correction="metric")
    assert found(alone) == {"goal": False, "b": True, "c": False}


def test_arms_share_the_error() -> None:
    # p = .03 is significant alone, and not as one of two arms.
    (item, _) = judge({"goal": 2.17}, GOAL)
    assert isinstance(item.result, Estimate)
    assert item.result.p_value == pytest.approx(0.03, abs=0.001)
    assert item.ln_p_adjusted == pytest.approx(math.log(2 * item.result.p_value))
    assert item.together is not None
    assert 0 in item.together
    assert 0 not in item.result.difference_interval


@pytest.mark.parametrize("z", [-4.0, -2.0, 0.5, 2.0, 3.0, 6.0])
def test_intervals_agree_with_the_findings(z: float) -> None:
    compared = judge({"goal": z, "safe": z, "b": z}, GOAL, SAFE, SECOND, THIRD)
    for item in compared:
        if item.together is not None:
            assert item.ln_p_adjusted is not None
            is_found = item.ln_p_adjusted < math.log(0.05)
            assert (not item.together.low < 0 < item.together.high) == is_found


def test_segments_are_judged_by_their_false_discovery_rate() -> None:
    promised = Plan(ARMS, (GOAL,), planned_customers=100)
    layout = lay_out([read_metric(m) for m in promised.metrics], [], [[]])
    cells = []
    for _ in range(10):
        arms = {arm.key: Moments.of(RNG.normal(50.0, 1.0, (200, 1))) for arm in ARMS}
        cells += compare_segment(promised, layout, [Phase.of_all(arms)])
    judged = judge_segments(cells)
    assert len(judged) == 20
    for before, after in zip(cells, judged, strict=True):
        assert isinstance(before.result, Estimate)
        assert after.ln_p_adjusted is not None
        assert after.ln_p_adjusted >= before.result.ln_p_value


def test_without_a_control_nothing_is_compared() -> None:
    arms = tuple(PlannedArm(key, key, 5000, False) for key in "ab")
    promised = Plan(arms, (GOAL,), planned_customers=100)
    layout = lay_out([read_metric(m) for m in promised.metrics], [], [[]])
    moments = {key: Moments.of(np.ones((10, 1))) for key in "ab"}
    compared = compare_all(promised, layout, [Phase.of_all(moments)])
    assert [type(item.result) for item in compared] == [Inconclusive, Inconclusive]
    assert {item.ln_p_adjusted for item in compared} == {None}


def test_an_interval_that_leaves_a_quantiles_thresholds_is_as_good_as_endless() -> None:
    median = PlannedMetric("goal", "Goal", "quantile", {"event": "goal"}, True, "goal")
    promised = Plan(ARMS, (median,), planned_customers=100)
    values = np.random.default_rng(2).normal(size=(2000, 1))
    # As wide as intervals of 95%, which end 1.96 errors of .011 away, and not as those of 97.5%.
    thresholds = np.quantile(values, np.linspace(0.4765, 0.5235, 9)).tolist()
    columns = np.hstack([np.ones_like(values), (values <= thresholds).astype(np.float64)])
    layout = lay_out([read_metric(median)], [], [thresholds])
    compared = compare_all(
        promised, layout, [Phase.of_all({arm.key: Moments.of(columns) for arm in ARMS})]
    )
    for item in compared:
        assert isinstance(item.result, Estimate)
        assert item.together is not None
        once = item.result.difference_interval
        assert item.together.low < once.low - 2 * (once.high - once.low)
