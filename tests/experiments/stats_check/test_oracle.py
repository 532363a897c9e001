"""What scipy and statsmodels say stands beside what we say, and is the same."""

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from experiments.stats_check.answering import answer
from experiments.stats_check.document import read_document
from experiments.stats_check.oracle import NOT_OFFERED, ask_oracles

Json = dict[str, Any]

VALUES_C = [3.5, 0.0, 1.25, 9.0, 2.0, 4.75, 0.5]
VALUES_T = [5.5, 7.0, 3.25, 12.0, 6.5]


def ask(
    control: Json, treatment: Json, *, confidence: float = 0.95, **more: Any
) -> tuple[Json, Json]:
    """Return our result and what the oracles say, both through JSON."""
    comparison = {"control": control, "treatment": treatment, **more}
    raw = json.dumps({"confidence": confidence, "comparisons": [comparison]}).encode()
    document = read_document(raw)
    (ours,), (said,) = answer(document)["comparisons"], ask_oracles(document)
    return ours["result"], json.loads(json.dumps(said, allow_nan=False))


def disagreements(ours: Json, said: Json) -> list[str]:
    """Name what the oracles give another number for; `said_by` names all that they give."""
    return [
        name
        for name in said["said_by"]
        if said[name] is not None and ours[name] != pytest.approx(said[name], rel=1e-9, abs=1e-15)
    ]


counts = st.integers(100, 10**6).flatmap(
    lambda n: st.fixed_dictionaries({"customers": st.just(n), "converted": st.integers(30, n - 30)})
)


@settings(max_examples=30)
@given(counts, counts, st.sampled_from([0.8, 0.95, 0.999]))
def test_the_oracles_agree_on_counts(control: Json, treatment: Json, confidence: float) -> None:
    ours, said = ask(control, treatment, confidence=confidence)
    assume(ours["kind"] == "estimate")
    assert said.keys() == {"p_value", "difference_interval", "relative_interval", "said_by"}
    assert disagreements(ours, said) == []


def test_the_oracles_agree_on_values() -> None:
    ours, said = ask({"values": VALUES_C}, {"values": VALUES_T}, confidence=0.9)
    assert said["p_value"] < 0.15
    assert said["difference_interval"]["low"] < said["difference_interval"]["high"]
    assert disagreements(ours, said) == []


def test_moments_have_a_p_value_only() -> None:
    moments = {"n": 50, "mean": 3.0, "variance": 4.0}
    ours, said = ask(moments, {"n": 60, "mean": 4.0, "variance": 9.0})
    assert said.keys() == {"p_value", "said_by"}
    assert disagreements(ours, said) == []


@pytest.mark.parametrize(
    ("control", "treatment"),
    [
        ({"customers": 9, "converted": 0}, {"customers": 9, "converted": 0}),
        ({"customers": 0, "converted": 0}, {"customers": 9, "converted": 3}),
        ({"customers": 0, "converted": 0}, {"customers": 0, "converted": 0}),
        ({"values": []}, {"values": [1, 2]}),
        ({"values": [1, 1]}, {"values": [1, 1]}),
    ],
)
def test_without_a_finite_number_the_oracles_say_none(control: Json, treatment: Json) -> None:
    ours, said = ask(control, treatment)
    assert ours["kind"] == "inconclusive"
    assert said["p_value"] is None
    assert said.get("relative_interval") is None


def test_where_we_refuse_they_may_speak() -> None:
    ours, said = ask({"values": [1]}, {"values": [2]})
    assert ours["kind"] == "inconclusive"
    assert said["p_value"] == 0


def test_all_against_nobody_keeps_what_is_finite() -> None:
    ours, said = ask({"customers": 90, "converted": 0}, {"customers": 90, "converted": 90})
    assert ours["p_value"] == pytest.approx(said["p_value"], rel=1e-9)
    assert said["relative_interval"] is None


@pytest.mark.parametrize("metric", ["mean", "ratio"])
def test_several_columns_are_not_offered(metric: str) -> None:
    arm = {"n": 90, "mean": [1.0, 2.0], "covariance": [[1.0, 0.3], [0.3, 1.0]]}
    _, said = ask(arm, arm, metric=metric)
    assert said == {"reason": NOT_OFFERED}


def test_the_api_offers_no_oracle() -> None:
    arm = {"customers": 9, "converted": 3}
    document = {"comparisons": [{"control": arm, "treatment": arm}]}
    (answered,) = answer(read_document(json.dumps(document).encode()))["comparisons"]
    assert answered.keys() == {"result"}
