"""Answers to documents of numbers, against scipy and statsmodels on the same numbers."""

import contextlib
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from experiments.stats.confidence_sequence import ConfidenceSequence
from experiments.stats.estimate import Estimate, Result, result_from_json
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.quantile import compare_quantiles
from experiments.stats.ratio import compare_ratios
from experiments.stats.sequential import SPENDING, Side, find_boundaries
from experiments.stats_check.answering import TooExtreme, answer
from experiments.stats_check.document import Unreadable, read_document

Json = dict[str, Any]

CONTROL, TREATMENT = {"customers": 1000, "converted": 100}, {"customers": 900, "converted": 117}
VALUES_C = [3.5, 0.0, 1.25, 9.0, 2.0, 4.75, 0.5]
VALUES_T = [5.5, 7.0, 3.25, 12.0, 6.5]
HALFWAY: Json = {"fractions": [0.25, 0.5]}


def moments(values: list[float]) -> Json:
    return {"n": len(values), "mean": np.mean(values), "variance": np.var(values, ddof=1)}


def ask(control: Json, treatment: Json, *, confidence: float = 0.95, **more: Any) -> Json:
    """Send one comparison through the JSON of both sides and return its answer."""
    comparison = {"control": control, "treatment": treatment, **more}
    raw = json.dumps({"confidence": confidence, "comparisons": [comparison]}).encode()
    answered = json.loads(json.dumps(answer(read_document(raw)), allow_nan=False))
    assert answered["confidence"] == confidence
    (one,) = answered["comparisons"]
    assert isinstance(one, dict)
    return one


def watch(control: Json, treatment: Json, sequential: Json, *, confidence: float = 0.95) -> Json:
    looked = ask(control, treatment, confidence=confidence, sequential=sequential)["sequential"]
    assert isinstance(looked, dict)
    return looked


def ends(interval: dict[str, float]) -> tuple[float, float]:
    return interval["low"], interval["high"]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_counts_agree_with_statsmodels(confidence: float) -> None:
    ours = ask(CONTROL, TREATMENT, confidence=confidence)["result"]
    _, p_value = proportions_ztest([117, 100], [900, 1000])
    difference = confint_proportions_2indep(
        117, 900, 100, 1000, method="newcomb", compare="diff", alpha=1 - confidence
    )
    lift = confint_proportions_2indep(
        117, 900, 100, 1000, method="log", compare="ratio", alpha=1 - confidence
    )
    assert ours["p_value"] == pytest.approx(p_value, rel=1e-9)
    assert ends(ours["difference_interval"]) == pytest.approx(difference, rel=1e-9)
    assert ends(ours["relative_interval"]) == pytest.approx(np.array(lift) - 1, rel=1e-9)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_values_agree_with_scipy_and_statsmodels(confidence: float) -> None:
    ours = ask({"values": VALUES_C}, {"values": VALUES_T}, confidence=confidence)["result"]
    test = stats.ttest_ind(VALUES_T, VALUES_C, equal_var=False)
    compared = CompareMeans(DescrStatsW(VALUES_T), DescrStatsW(VALUES_C))
    difference = compared.tconfint_diff(alpha=1 - confidence, usevar="unequal")
    assert ours["p_value"] == pytest.approx(test.pvalue, rel=1e-9)
    assert ours["ln_p_value"] == pytest.approx(math.log(test.pvalue), rel=1e-9)
    assert ends(ours["difference_interval"]) == pytest.approx(difference, rel=1e-9)


def test_moments_and_values_are_the_same_numbers_and_mix() -> None:
    from_values = ask({"values": VALUES_C}, {"values": VALUES_T})["result"]
    mixed = ask(moments(VALUES_C), {"values": VALUES_T})["result"]
    assert mixed["ln_p_value"] == pytest.approx(from_values["ln_p_value"], rel=1e-12)
    assert ends(mixed["relative_interval"]) == pytest.approx(ends(from_values["relative_interval"]))


def test_an_answer_reads_back_as_the_estimate_that_it_is() -> None:
    rows_c, rows_t = np.array(VALUES_C)[:, None], np.array(VALUES_T)[:, None]
    ours = result_from_json(ask({"values": VALUES_C}, {"values": VALUES_T})["result"])
    assert ours == compare_means(Moments.of(rows_c), Moments.of(rows_t))


def test_labels_and_order_come_back() -> None:
    comparisons = [
        {"label": "first", "control": CONTROL, "treatment": TREATMENT},
        {"control": {"values": VALUES_C}, "treatment": moments(VALUES_T)},
    ]
    answered = answer(read_document(json.dumps({"comparisons": comparisons}).encode()))
    first, second = answered["comparisons"]
    assert (answered["confidence"], first["label"]) == (0.95, "first")
    assert second.keys() == {"result"}
    assert [c["result"]["n_control"] for c in (first, second)] == [1000, 7]


def test_a_p_value_that_underflows_keeps_its_logarithm() -> None:
    ours = ask(
        {"customers": 10**15, "converted": 10**14}, {"customers": 10**15, "converted": 2 * 10**14}
    )["result"]
    z = 0.1 / math.sqrt(0.15 * 0.85 * 2e-15)
    assert ours["p_value"] == 0
    assert ours["ln_p_value"] == pytest.approx(math.log(2) + stats.norm.logsf(z), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-150, 1e-20, 1e20, 1e98])
def test_a_lift_has_no_unit_however_large_or_small(scale: float) -> None:
    plain = ask({"values": VALUES_C}, {"values": VALUES_T}, sequential=HALFWAY)
    scaled = ask(
        {"values": [scale * x for x in VALUES_C]},
        {"values": [scale * x for x in VALUES_T]},
        sequential=HALFWAY,
    )
    for name in ("relative", "ln_p_value"):
        assert scaled["result"][name] == pytest.approx(plain["result"][name], rel=1e-9)
    assert scaled["sequential"]["interval"]["high"] == pytest.approx(
        scale * plain["sequential"]["interval"]["high"], rel=1e-9
    )


@pytest.mark.parametrize(
    ("control", "treatment", "reason"),
    [
        ({"values": []}, {"values": [1, 2]}, "No customers"),
        ({"n": 1, "mean": 3, "variance": 0}, {"values": [1, 2]}, "Only one customer"),
        ({"values": [1, 1]}, {"values": [2, 2]}, "no variation"),
        ({"customers": 9, "converted": 0}, {"customers": 9, "converted": 0}, "has converted yet"),
    ],
)
@pytest.mark.parametrize("sequential", [HALFWAY, {"tuned_to": 100}])
def test_too_little_is_inconclusive_at_every_look(
    control: Json, treatment: Json, reason: str, sequential: Json
) -> None:
    ours = ask(control, treatment, sequential=sequential)
    assert ours["result"]["kind"] == "inconclusive"
    assert reason in ours["result"]["reason"]
    assert ours["sequential"] == ours["result"]


@pytest.mark.parametrize(
    ("control", "treatment", "sequential"),
    [
        # A lift of 1e400, and a z whose square is larger than any float.
        ({"n": 9, "mean": 1e-300, "variance": 0}, {"n": 9, "mean": 1e100, "variance": 1}, {}),
        (
            {"n": 9, "mean": -1, "variance": 1e-315},
            {"n": 9, "mean": 1, "variance": 1e-315},
            {"sequential": {"tuned_to": 10}},
        ),
    ],
)
def test_what_no_float_holds_is_refused(control: Json, treatment: Json, sequential: Json) -> None:
    with pytest.raises(TooExtreme, match=r"at `\$.comparisons\[0\]`"):
        ask(control, treatment, **sequential)


number = st.floats(-1e100, 1e100)
extreme_moments = st.fixed_dictionaries(
    {"n": st.integers(2, 10**15), "mean": number, "variance": st.floats(0, 1e200)}
)
extreme_counts = st.integers(0, 10**15).flatmap(
    lambda n: st.fixed_dictionaries({"customers": st.just(n), "converted": st.integers(0, n)})
)
plans = st.sampled_from([{"fractions": [0.001, 4]}, {"fractions": [1e-3]}, {"tuned_to": 1e-300}])


@given(
    st.one_of(*(st.tuples(arm, arm) for arm in (extreme_moments, extreme_counts))),
    plans,
    st.sampled_from([0.5, 0.999999]),
)
def test_every_document_is_answered_in_finite_numbers_or_refused(
    arms: tuple[Json, Json], plan: Json, confidence: float
) -> None:
    comparison = {"control": arms[0], "treatment": arms[1], "sequential": plan}
    raw = json.dumps({"confidence": confidence, "comparisons": [comparison]}).encode()
    with contextlib.suppress(TooExtreme):
        json.dumps(answer(read_document(raw)), allow_nan=False)


def test_a_look_has_its_boundary_and_the_pooled_z() -> None:
    ours = watch(CONTROL, TREATMENT, HALFWAY)
    z, _ = proportions_ztest([117, 100], [900, 1000])
    boundary = find_boundaries([0.25, 0.5])[-1]
    assert (ours["look"], ours["fraction"]) == (2, 0.5)
    assert ours["z"] == pytest.approx(z, rel=1e-9)
    assert ours["z"] * ours["standard_error"] == pytest.approx(0.03, rel=1e-9)
    assert (ours["upper"], ours["lower"]) == pytest.approx((boundary.upper, boundary.lower))
    assert (ours["upper_spent"], ours["lower_spent"]) == pytest.approx(
        (boundary.upper_spent, boundary.lower_spent)
    )


def test_sides_and_the_last_look_are_as_asked() -> None:
    ours = watch(
        CONTROL,
        TREATMENT,
        HALFWAY
        | {
            "is_final": True,
            "upper": {"alpha": 0.04, "spending": "power"},
            "lower": {"alpha": 0, "spending": "pocock"},
        },
    )
    spending = SPENDING["power"]
    boundary = find_boundaries(
        [0.25, 0.5], upper=Side(0.04, spending), lower=Side(0, spending), is_final=True
    )[-1]
    assert ours["upper"] == pytest.approx(boundary.upper)
    assert ours["lower"] is None
    assert ours["interval"]["high"] is None
    assert ours["upper_spent"] == pytest.approx(0.04)


def test_each_direction_gets_half_of_the_error_allowed() -> None:
    ours = watch(CONTROL, TREATMENT, {"fractions": [1]}, confidence=0.9)
    assert (ours["upper"], ours["lower"]) == pytest.approx(
        (stats.norm.isf(0.05), stats.norm.ppf(0.05))
    )


def test_a_single_planned_look_at_means_is_welchs_interval() -> None:
    ours = ask({"values": VALUES_C}, {"values": VALUES_T}, sequential={"fractions": [1]})
    assert ends(ours["sequential"]["interval"]) == pytest.approx(
        ends(ours["result"]["difference_interval"]), rel=1e-9
    )


converted = st.integers(0, 60)
sizes = st.integers(60, 90)
floats = st.floats(-100, 100).map(lambda x: round(x, 2))
samples = st.lists(floats, min_size=2, max_size=6)


@given(converted, converted, sizes, sizes)
@example(5, 40, 80, 80)
@example(40, 5, 80, 80)
def test_the_interval_of_counts_leaves_out_zero_when_a_boundary_is_crossed(
    x_c: int, x_t: int, n_c: int, n_t: int
) -> None:
    control = {"customers": n_c, "converted": x_c}
    treatment = {"customers": n_t, "converted": x_t}
    look_agrees_with_its_interval(watch(control, treatment, {"fractions": [0.6]}))


@given(samples, samples)
@example([0, 0.1, 0.2], [90, 90.1, 90.2])
@example([90, 90.1, 90.2], [0, 0.1, 0.2])
def test_the_interval_of_means_leaves_out_zero_when_a_boundary_is_crossed(
    control: list[float], treatment: list[float]
) -> None:
    look = watch({"values": control}, {"values": treatment}, {"fractions": [0.6]})
    look_agrees_with_its_interval(look)


@given(st.floats(0.02, 2), st.floats(0.02, 2))
@example(0.1, 2)
@example(2, 0.1)
def test_so_does_the_interval_of_rare_outcomes_in_unequal_arms(few: float, many: float) -> None:
    # Some value of a, or nothing: the variance of a share, a times a.
    control, treatment = (
        {"n": n, "mean": mean, "variance": mean * (100 - mean)}
        for n, mean in ((1000, few), (20_000, many))
    )
    look = watch(control, treatment, {"fractions": [0.6]})
    look_agrees_with_its_interval(look)


def look_agrees_with_its_interval(look: Json) -> None:
    if look["kind"] == "inconclusive":
        return
    low, high = ends(look["interval"])
    rounding = 1e-9 * (abs(low) + abs(high))
    match look["crossed"]:
        case "benefit":
            assert low >= -rounding
        case "harm":
            assert high <= rounding
        case _:
            assert look["crossed"] == "none"
            assert low <= rounding
            assert high >= -rounding


@pytest.mark.parametrize(("treated", "crossed"), [(150, "benefit"), (101, "none"), (50, "harm")])
@pytest.mark.parametrize("sequential", [{"fractions": [1]}, {"tuned_to": 2000}])
def test_a_crossing_has_its_direction(treated: int, crossed: str, sequential: Json) -> None:
    treatment = {"customers": 1000, "converted": treated}
    assert watch(CONTROL, treatment, sequential)["crossed"] == crossed


def test_a_confidence_sequence_rests_on_the_unpooled_standard_error() -> None:
    ours = watch(CONTROL, TREATMENT, {"tuned_to": 5000}, confidence=0.9)
    column_c, column_t = np.repeat([1, 0], [100, 900]), np.repeat([1, 0], [117, 783])
    error = math.sqrt(np.var(column_c, ddof=1) / 1000 + np.var(column_t, ddof=1) / 900)
    sequence = ConfidenceSequence(0.1, 5000)
    assert (ours["n"], ours["tuned_to"]) == (1900, 5000)
    assert ours["standard_error"] == pytest.approx(error, rel=1e-9)
    assert ends(ours["interval"]) == pytest.approx(sequence.interval(0.03, error, n=1900))
    assert ours["ln_p_value"] == pytest.approx(sequence.ln_p_value(0.03 / error, n=1900))


def test_a_confidence_sequence_of_means_rests_on_their_moments() -> None:
    ours = watch(moments(VALUES_C), {"values": VALUES_T}, {"tuned_to": 12})
    error = math.sqrt(np.var(VALUES_C, ddof=1) / 7 + np.var(VALUES_T, ddof=1) / 5)
    assert ours["standard_error"] == pytest.approx(error, rel=1e-9)
    assert ours["n"] == 12


def test_all_against_nobody_has_no_confidence_sequence() -> None:
    ours = ask(
        {"customers": 90, "converted": 0},
        {"customers": 90, "converted": 90},
        sequential={"tuned_to": 200},
    )
    assert isinstance(result_from_json(ours["result"]), Estimate)
    assert "no standard error" in ours["sequential"]["reason"]


# --- several columns ---------------------------------------------------------------------------

RNG = np.random.default_rng(12)


def columns(shift: float) -> Moments:
    """Make an outcome that follows its covariate, and a denominator of two to four."""
    x = RNG.normal(10.0, 2.0, 800)
    y = x + RNG.normal(shift, 1.0, 800)
    return Moments.of(np.column_stack([y, RNG.integers(2, 5, 800), x]))


ARMS = (columns(0.0), columns(0.2))


def reply(**comparison: Any) -> Json:
    stored = {name: arm.to_json() for name, arm in zip(("control", "treatment"), ARMS, strict=True)}
    raw = json.dumps({"comparisons": [{**stored, **comparison}]}).encode()
    (answered,) = answer(read_document(raw))["comparisons"]
    assert isinstance(answered, dict)
    return answered


@pytest.mark.parametrize(
    ("metric", "chosen", "compare"),
    [
        ("mean", [0], compare_means),
        ("mean", [0, 2], compare_means),
        ("ratio", [0, 1], compare_ratios),
        ("ratio", [0, 1, 2], compare_ratios),
    ],
)
def test_stored_moments_are_compared_as_in_the_report(
    metric: str, chosen: list[int], compare: Callable[..., Result]
) -> None:
    answered = reply(metric=metric, columns=chosen)
    control, treatment = (arm.select(*chosen) for arm in ARMS)
    assert result_from_json(answered["result"]) == compare(control, treatment, confidence=0.95)


def test_a_quantile_brings_its_thresholds() -> None:
    values = RNG.lognormal(size=(2, 2000))
    thresholds = np.quantile(values, np.linspace(0.4, 0.6, 9)).tolist()
    arms = [
        Moments.of(np.column_stack([np.ones(2000), *(v <= t for t in thresholds)])) for v in values
    ]
    answered = reply(
        control=arms[0].to_json(),
        treatment=arms[1].to_json(),
        metric="quantile",
        thresholds=thresholds,
        level=0.5,
    )
    assert result_from_json(answered["result"]) == compare_quantiles(
        *arms, thresholds=thresholds, level=0.5
    )


def test_an_adjusted_estimate_is_judged_at_a_look_by_its_own_interval() -> None:
    plain, adjusted = (
        reply(columns=chosen, sequential={"fractions": [0.5]})["sequential"]
        for chosen in ([0], [0, 2])
    )
    assert adjusted["standard_error"] < 0.6 * plain["standard_error"]
    assert (plain["crossed"], adjusted["crossed"]) == ("none", "benefit")
    assert adjusted["interval"]["low"] > 0
    endless = reply(columns=[0, 2], sequential={"tuned_to": 2000})["sequential"]
    assert endless["kind"] == "confidence_sequence"
    assert endless["standard_error"] == adjusted["standard_error"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"columns": [3]}, "There are 3 columns"),
        ({"metric": "quantile"}, "`thresholds` and `level` belong to a quantile"),
        ({"thresholds": [1.0]}, "`thresholds` and `level` belong to a quantile"),
        ({"metric": "ratio", "columns": [0]}, "at least 2 of them"),
        ({"control": {"n": 9, "mean": [1, 2], "covariance": [[1, 0], [0, 1]]}}, "the same columns"),
        ({"control": {"n": 9, "mean": [1], "covariance": [[-1]]}}, "variance"),
        ({"control": {"n": 9, "mean": [1], "variance": 1}}, "An arm has either"),
        (
            {
                "metric": "share",
                "control": {"customers": 9, "converted": 1},
                "treatment": {"customers": 9, "converted": 1},
            },
            "Counts have no `metric`",
        ),
    ],
)
def test_columns_that_are_not_there_are_refused(wrong: Json, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        reply(**wrong)
