"""Documents of numbers: every field that is wrong is named with its path, in words."""

import json
from typing import Any, get_args

import pytest
from msgspec import UNSET

from experiments.stats.moments import Moments
from experiments.stats.sequential import SPENDING
from experiments.stats_check.document import (
    MOST_VALUES,
    Counts,
    SpendingSide,
    Unreadable,
    read_document,
)

Json = dict[str, Any]

CONTROL, TREATMENT = {"customers": 1000, "converted": 100}, {"customers": 900, "converted": 117}
AT_CONTROL, AT_PLAN = "$.comparisons[0].control", "$.comparisons[0].sequential"
VALUES = {"values": [1, 2]}


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"control": {}}, AT_CONTROL, "this one has nothing"),
        ({"control": {"customers": 9}}, AT_CONTROL, "this one has `customers`"),
        ({"control": CONTROL | VALUES}, AT_CONTROL, "`customers`, `converted`, `values`"),
        ({"control": {"customers": 9, "converted": 10}}, AT_CONTROL, "10 of 9 customers"),
        ({"control": CONTROL | {"customers": "9"}}, AT_CONTROL + ".customers", "got `str`"),
        ({"control": CONTROL | {"customers": 9.5}}, AT_CONTROL + ".customers", "got `float`"),
        ({"control": CONTROL | {"converted": -1}}, AT_CONTROL + ".converted", ">= 0"),
        ({"control": CONTROL | {"customers": 10**16}}, AT_CONTROL + ".customers", "<= 1000"),
        ({"control": CONTROL | {"customers": None}}, AT_CONTROL + ".customers", "got `null`"),
        ({"control": CONTROL | {"buyers": 3}}, AT_CONTROL, "unknown field `buyers`"),
        ({"control": {"values": [1, "2"]}}, AT_CONTROL + ".values[1]", "got `str`"),
        ({"control": {"values": [1e101]}}, AT_CONTROL + ".values[0]", "1e+100"),
        ({"control": {"n": 0, "mean": 1, "variance": 0}}, AT_CONTROL, "0 customers have no such"),
        ({"control": {"n": 9, "mean": 1, "variance": -1}}, AT_CONTROL + ".variance", ">= 0"),
        ({"control": VALUES}, "$.comparisons[0]", "give both as counts, or neither"),
        ({"treatment": VALUES}, "$.comparisons[0]", "give both as counts, or neither"),
        ({"label": 3}, "$.comparisons[0].label", "got `int`"),
        ({"sequential": {}}, AT_PLAN, "this one has nothing"),
        ({"sequential": {"is_final": True}}, AT_PLAN, "this one has `is_final`"),
        ({"sequential": {"tuned_to": 9, "is_final": True}}, AT_PLAN, "`is_final`, `tuned_to`"),
        ({"sequential": {"tuned_to": 9, "fractions": [1]}}, AT_PLAN, "choose one"),
        ({"sequential": {"tuned_to": 0}}, AT_PLAN + ".tuned_to", "> 0"),
        ({"sequential": {"fractions": []}}, AT_PLAN + ".fractions", "length >= 1"),
        ({"sequential": {"fractions": [0]}}, AT_PLAN + ".fractions[0]", ">= 0.001"),
        ({"sequential": {"fractions": [0.5, 0.5]}}, AT_PLAN, "0.5 follows 0.5"),
        (
            {"sequential": {"fractions": [1], "upper": {"alpha": 0.5, "spending": "pocock"}}},
            AT_PLAN + ".upper.alpha",
            "< 0.5",
        ),
        (
            {"sequential": {"fractions": [1], "lower": {"alpha": 0.1, "spending": "all"}}},
            AT_PLAN + ".lower.spending",
            "'all'",
        ),
    ],
)
def test_a_bad_field_is_named_with_its_path(changes: Json, path: str, words: str) -> None:
    comparison = {"control": CONTROL, "treatment": TREATMENT} | changes
    with pytest.raises(Unreadable) as refusal:
        read_document(json.dumps({"comparisons": [comparison]}).encode())
    assert str(refusal.value).endswith(f"- at `{path}`.")
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"comparisons": [{"label": "\xff"}]}', "not valid JSON"),
        (b'{"comparisons": [{"control": {"values": [NaN]}}]}', "not valid JSON"),
        (b"[" * 100_000, "Expected `object`, got `array`."),
        (b"{}", "missing required field `comparisons`."),
        (b'{"comparisons": []}', "length >= 1 - at `$.comparisons`."),
        (b'{"comparisons": [{}]}', "missing required field `control` - at `$.comparisons[0]`."),
        (b'{"comparisons": [], "alpha": 0.05}', "length >= 1"),
        (b'{"alpha": 0.05}', "unknown field `alpha`."),
        (b'{"confidence": 95}', "<= 0.999999 - at `$.confidence`."),
    ],
)
def test_what_is_no_such_document_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        read_document(raw)
    assert words in str(refusal.value)


def test_only_so_many_values_are_read() -> None:
    values = b"1," * MOST_VALUES + b"1"
    with pytest.raises(Unreadable, match=r"length <= 1000000 - at `\$.comparisons\[0\].control"):
        read_document(b'{"comparisons": [{"control": {"values": [' + values + b"]}}]}")


def test_every_way_to_spend_can_be_asked_for() -> None:
    assert set(get_args(SpendingSide.__annotations__["spending"])) == set(SPENDING)


def test_each_kind_of_arm_is_measured() -> None:
    raw = {
        "comparisons": [
            {"control": CONTROL, "treatment": TREATMENT},
            {"control": VALUES, "treatment": {"n": 3, "mean": 2.5, "variance": 0.25}},
        ]
    }
    shares, means = read_document(json.dumps(raw).encode()).comparisons
    assert shares.measure() == (Counts(1000, 100), Counts(900, 117))
    assert means.measure() == (
        Moments(2, (1.5,), ((0.5,),)),
        Moments(3, (2.5,), ((0.25,),)),
    )


def test_a_step_may_fall_short_by_a_rounding() -> None:
    assert 1.001 - 1 < 0.001
    plan = {"fractions": [1, 1.001]}
    comparison = {"control": CONTROL, "treatment": TREATMENT, "sequential": plan}
    (read,) = read_document(json.dumps({"comparisons": [comparison]}).encode()).comparisons
    assert read.sequential is not UNSET
    assert read.sequential.fractions == [1, 1.001]
