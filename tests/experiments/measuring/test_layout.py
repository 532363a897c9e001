"""Every column is there once, and the most telling covariates come first."""

import numpy as np
import pytest

from experiments.measuring.layout import (
    CUSTOMERS_PER_COVARIATE,
    LONGER,
    MOST_COVARIATES,
    Measured,
    covariate_cuts,
    find_covariates,
    lay_out,
    read_metric,
)
from experiments.metrics.columns import Cut, Events, Mature, Predicted, Total
from experiments.plan import Adjustment, PlannedMetric
from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.moments import Moments

DAY = 86_400
SPEND = PlannedMetric("spend", "Spend", "mean", {"event": "Order"}, True, "secondary")
ORDERS = PlannedMetric("orders", "Orders", "conversion", {"event": "Order"}, True, "goal")
SPENT, COUNTED, ANY = (Total(how, Events("Order")) for how in ("sum", "count", "any"))


def read(*metrics: PlannedMetric) -> list[Measured]:
    return [read_metric(metric) for metric in metrics]


def test_the_goals_history_comes_first_and_nothing_twice() -> None:
    covariates = find_covariates(read(SPEND, ORDERS), Adjustment(days=7))
    week, longer = 7 * DAY, 7 * LONGER * DAY
    assert covariates == [
        ANY.before(week),
        ANY.before(longer),
        COUNTED.before(week),
        SPENT.before(week),
        SPENT.before(longer),
    ]


def test_a_prediction_comes_before_behaviour() -> None:
    adjustment = Adjustment(days=0, prediction="spend")
    assert find_covariates(read(ORDERS), adjustment) == [
        Predicted("spend"),
        Predicted("spend", is_known=True),
    ]
    assert find_covariates(read(ORDERS), Adjustment(days=0)) == []


def test_there_are_never_too_many() -> None:
    many = [
        PlannedMetric(f"m{n}", f"M{n}", "mean", {"event": f"E{n}"}, True, "secondary")
        for n in range(20)
    ]
    covariates = find_covariates(read(ORDERS, *many), Adjustment())
    assert len(covariates) == MOST_COVARIATES


def test_columns_are_shared_and_covariates_capped() -> None:
    capped = PlannedMetric(
        "capped", "C", "mean", {"event": "Order", "cap": {"percentile": 90}}, True, "secondary"
    )
    metrics = read(ORDERS, SPEND, capped)
    covariates = [ANY.before(DAY), SPENT.before(DAY)]
    assert covariate_cuts(covariates) == [Cut(SPENT.before(DAY), 0.99)]
    layout = lay_out(metrics, covariates, [[50.0], [80.0]])
    assert layout.columns == (
        ANY,
        SPENT,
        Total("sum", Events("Order"), cap=50.0),
        ANY.before(DAY),
        Total("sum", Events("Order"), window=SPENT.before(DAY).window, cap=80.0),
    )
    assert [placed.own for placed in layout.metrics] == [(0,), (1,), (2,)]
    assert layout.covariates == (3, 4)
    assert layout.covariate_names == (
        "any “Order” in the day before exposure",
        "total of “Order” in the day before exposure",
    )


def test_without_anything_to_cap_covariates_stay_as_they_are() -> None:
    layout = lay_out(read(ORDERS), [SPENT.before(DAY)], [[]])
    assert layout.columns[1] == SPENT.before(DAY)


@pytest.mark.parametrize(("n", "used"), [(19, 0), (39, 1), (400, 2)])
def test_small_arms_bear_few_covariates(n: int, used: int) -> None:
    assert CUSTOMERS_PER_COVARIATE == 20
    rng = np.random.default_rng(8)
    metrics = read(PlannedMetric("m", "M", "mean", {"event": "E"}, True, "goal"))
    layout = lay_out(metrics, [ANY.before(DAY), COUNTED.before(DAY)], [[]])
    arms = []
    for _ in range(2):
        x = rng.normal(size=(n, 2))
        y = 10 + x.sum(axis=1, keepdims=True) + rng.normal(size=(n, 1))
        arms.append(Moments.of(np.hstack([y, x])))
    placed = layout.metrics[0]
    result = placed.compare([(arms[0], arms[1])], covariates=layout.covariates, confidence=0.95)
    own = [arm.select(0, *range(1, 1 + used)) for arm in arms]
    again = placed.measured.type.compare(
        placed.measured.params, [(own[0], own[1])], thresholds=[], confidence=0.95
    )
    assert isinstance(result, Estimate)
    assert result == again


def test_a_covariate_that_does_not_vary_is_not_passed_on() -> None:
    metrics = read(PlannedMetric("m", "M", "mean", {"event": "E"}, True, "goal"))
    layout = lay_out(metrics, [ANY.before(DAY)], [])
    rows = np.column_stack([np.arange(100.0), np.zeros(100)])
    arm = Moments.of(rows)
    placed = layout.metrics[0]
    plain = placed.compare([(arm, arm)], confidence=0.95)
    assert placed.compare([(arm, arm)], covariates=layout.covariates, confidence=0.95) == plain


def test_what_adjustment_would_take_away_is_kept_as_measured() -> None:
    (metric,) = read(PlannedMetric("q", "Q", "quantile", {"event": "E"}, True, "goal"))
    thresholds = np.linspace(9.0, 11.0, 9).tolist()
    layout = lay_out([metric], [ANY.before(DAY)], [thresholds])
    (placed,) = layout.metrics
    noise = np.random.default_rng(17).normal(0.0, 0.2, 4000)
    is_large = np.arange(4000) < 2400
    values = np.where(is_large, 10.0 + noise, noise)
    arms = [
        Moments.of(
            np.column_stack(
                [
                    np.ones(4000),
                    *(values <= threshold for threshold in thresholds),
                    # What was known before differs by chance so much that it outweighs the values.
                    is_large + noise[::-1] + shift,
                ]
            )
        )
        for shift in (0.0, 0.5)
    ]
    strata = [(arms[0], arms[1])]
    raw = placed.compare(strata, confidence=0.95)
    assert isinstance(raw, Estimate)
    sharp = placed.sharpen(raw, strata, covariates=layout.covariates, confidence=0.95)
    assert sharp is raw
    nothing = Inconclusive("Nobody came.")
    assert placed.sharpen(nothing, strata, covariates=(), confidence=0.95) is nothing


def test_only_what_was_known_before_has_a_name_as_a_covariate() -> None:
    predicted = [Predicted("spend"), Predicted("spend", is_known=True)]
    assert lay_out([], predicted, []).covariate_names == (
        "prediction “spend”",
        "whether there is a prediction “spend”",
    )
    with pytest.raises(TypeError, match="no covariate"):
        lay_out([], [Mature(DAY)], [])
