"""Features and experiments are evaluated as the specification of GrowthBook's SDKs says."""

from typing import Any

import pytest

from experiments.growthbook.context import Context
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.results import FeatureResult, Source

Document = dict[str, Any]


TEST: Document = {"key": "test", "variations": ["a", "b"], "hashVersion": 2}


def visit(*rules: Document, **known: Any) -> Evaluator:
    """Bring "ada" before a feature `f` with these rules."""
    features = {"f": {"defaultValue": "default", "rules": list(rules)}, **known.pop("features", {})}
    return Evaluator(Context(**{"attributes": {"id": "ada"}, "features": features, **known}))


def find(*rules: Document, **known: Any) -> FeatureResult:
    return visit(*rules, **known).feature("f")


def run(experiment: Document, **known: Any) -> tuple[Any, bool, bool]:
    result = visit(**known).run({**TEST, **experiment})
    return result.value, result.is_in, result.was_hashed


OUTSIDE = ("a", False, False)
DRAWN = run({})


def test_a_customer_draws_a_variation_and_is_told_of_once() -> None:
    client = visit(TEST)
    result = client.feature("f")
    assert (result.value, result.source) == (DRAWN[0], Source.EXPERIMENT)
    assert DRAWN[1:] == (True, True)
    client.feature("f")
    (track,) = client.tracks
    assert track["experiment"]["key"] == "test"
    assert result.result is not None
    assert track["result"] == result.result.to_document()


def test_a_document_says_all_of_an_experiment() -> None:
    meta = [{"key": "x", "name": "X", "passthrough": True}] * 2
    result = visit().run({**TEST, "meta": meta, "ranges": [[0, 1], [0, 0]]})
    place = result.place
    assert place is not None
    assert result.to_document() == {
        "key": "x",
        "name": "X",
        "passthrough": True,
        "featureId": None,
        "inExperiment": True,
        "hashUsed": True,
        "variationId": 0,
        "value": "a",
        "hashAttribute": "id",
        "hashValue": "ada",
        "stickyBucketUsed": False,
        "bucket": place,
    }


def test_a_variation_that_was_forced_has_no_place() -> None:
    document = visit(forced_variations={"test": 0}).run(TEST).to_document()
    assert "bucket" not in document
    assert document["hashUsed"] is False


@pytest.mark.parametrize(("value", "is_on"), [([], True), ("", False), (0, False)])
def test_a_feature_is_on_as_javascript_has_it(value: Any, is_on: bool) -> None:
    document = find({"force": value}).to_document()
    assert (document["on"], document["off"]) == (is_on, not is_on)


def test_a_feature_tells_its_experiment() -> None:
    document = find(TEST).to_document()
    assert document["experiment"] == TEST
    assert document["experimentResult"]["featureId"] == "f"


def test_what_nobody_knows_is_nothing() -> None:
    assert visit().feature("g") == FeatureResult(None, Source.UNKNOWN)
    assert visit(features={"g": {}}).feature("g") == FeatureResult(None, Source.DEFAULT)


def test_a_value_that_is_forced_from_outside_goes_before_all_rules() -> None:
    result = find({"force": 1}, forced_features={"f": None})
    assert result == FeatureResult(None, Source.OVERRIDE)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"force": 1, "condition": {"plan": "pro"}},
        {"force": 1, "filters": [{"seed": "s", "ranges": []}]},
        {"force": 1, "filters": [{"seed": "s", "attribute": "team", "ranges": [[0, 1]]}]},
        {"force": 1, "filters": [{"seed": "s", "hashVersion": 9, "ranges": [[0, 1]]}]},
        {"force": 1, "coverage": 0},
        {"force": 1, "coverage": 1, "hashAttribute": "team"},
        {"force": 1, "range": [0, 0], "coverage": 1},
        {**TEST, "condition": {"plan": "pro"}},
        {**TEST, "meta": [{"passthrough": True}] * 2},
    ],
)
def test_a_rule_that_does_not_apply_leaves_the_turn_to_the_next(rule: Document) -> None:
    assert find(rule, {"id": "next", "force": 2}) == FeatureResult(2, Source.FORCE, "next")


@pytest.mark.parametrize(
    "rule",
    [
        {"condition": {"id": "ada"}},
        {"filters": [{"seed": "s", "ranges": [[0, 0], [0, 1]]}]},
        {"coverage": 1},
        {"range": [0, 1], "coverage": 0},
    ],
)
def test_a_rule_that_applies_forces_its_value(rule: Document) -> None:
    assert find({"force": None, **rule}) == FeatureResult(None, Source.FORCE)


def test_what_was_drawn_elsewhere_is_told_where_its_value_is_used() -> None:
    track = {
        "experiment": {"key": "e", "variations": [0, 1]},
        "result": {"hashAttribute": "id", "hashValue": "ada", "variationId": 1},
    }
    client = visit({"force": 1, "tracks": [track]})
    client.feature("f")
    assert client.tracks == [track]


PARENT: Document = {"parentConditions": [{"id": "parent", "condition": {"value": 1}}]}
GATE: Document = {"parentConditions": [{**PARENT["parentConditions"][0], "gate": True}]}


@pytest.mark.parametrize(
    ("parent", "requirement", "expected"),
    [
        (1, PARENT, FeatureResult("in", Source.FORCE)),
        (2, PARENT, FeatureResult("default", Source.DEFAULT)),
        (1, GATE, FeatureResult("in", Source.FORCE)),
        (2, GATE, FeatureResult(None, Source.PREREQUISITE)),
        (2, {"parentConditions": [{"id": "parent"}]}, FeatureResult("in", Source.FORCE)),
    ],
)
def test_a_rule_may_require_another_feature_s_value(
    parent: int, requirement: Document, expected: FeatureResult
) -> None:
    features = {"parent": {"defaultValue": parent}}
    assert find({"force": "in", **requirement}, features=features) == expected


def test_who_requires_itself_gets_nothing() -> None:
    features = {"parent": {"rules": [{"parentConditions": [{"id": "f"}], "force": 1}]}}
    assert find({"force": "in", **PARENT}, features=features) == FeatureResult(None, Source.CYCLIC)


@pytest.mark.parametrize(("parent", "expected"), [(1, DRAWN), (2, OUTSIDE)])
def test_an_experiment_may_require_a_feature_s_value(parent: int, expected: Any) -> None:
    assert run(PARENT, features={"parent": {"defaultValue": parent}}) == expected


@pytest.mark.parametrize(
    "experiment",
    [
        {"variations": ["a"]},
        {"active": False},
        {"status": "draft"},
        {"status": "stopped"},
        {"hashAttribute": "team"},
        {"hashVersion": 9},
        {"coverage": 0},
        {"filters": [{"seed": "s", "ranges": [[0, 0]]}]},
        {"namespace": ["n", 0, 0]},
        {"condition": {"plan": "pro"}},
        {"force": 2},
        {"urlPatterns": [{"type": "simple", "pattern": "/cart"}]},
    ],
)
def test_an_experiment_is_not_for_everybody(experiment: Document) -> None:
    assert run(experiment, url="https://shop.example/home") == OUTSIDE


@pytest.mark.parametrize(
    "experiment",
    [
        {"filters": [{"seed": "s", "ranges": [[0, 1]]}], "namespace": ["n", 0, 0]},
        {"namespace": ["n", 0, 1]},
        {"condition": {"id": "ada"}},
        {"urlPatterns": [{"type": "simple", "pattern": "/home"}]},
    ],
)
def test_an_experiment_lets_in_whom_it_is_for(experiment: Document) -> None:
    assert run(experiment, url="https://shop.example/home") == DRAWN


@pytest.mark.parametrize("known", [{"is_enabled": False}, {"is_qa": True}])
def test_nobody_is_drawn_where_that_is_switched_off(known: Document) -> None:
    assert run({}, **known) == OUTSIDE


@pytest.mark.parametrize(
    "known",
    [
        {"url": "https://shop.example/?test=1"},
        {"forced_variations": {"test": 1}},
        {"forced_variations": {"test": 0}, "url": "?test=1"},
    ],
)
def test_a_variation_may_be_forced_and_is_told_to_nobody(known: Document) -> None:
    client = visit(is_qa=True, **known)
    result = client.run(TEST)
    assert (result.value, result.is_in, result.was_hashed) == ("b", True, False)
    assert client.tracks == []


def test_a_variation_that_the_experiment_forces_goes_before_the_draw() -> None:
    assert run({"force": 1}, is_qa=True) == ("b", True, False)


LEAVES: Document = {
    "banditVersion": 3,
    "contexts": [
        {"leafId": 5, "condition": {"plan": "pro"}, "weights": [1, 0]},
        {"leafId": 6, "condition": {"plan": "free"}, "weights": [0, 1]},
    ],
}
BANDIT: Document = {
    "key": "test",
    "hashVersion": 2,
    "contextualVariations": ["a", "b"],
    "weights": [0.25, 0.75],
    "contextualBanditRef": "policy",
}


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("pro", {"leafId": 5, "variationWeights": [1, 0], "banditVersion": 3}),
        ("free", {"leafId": 6, "variationWeights": [0, 1], "banditVersion": 3}),
        ("none", {"leafId": -1, "variationWeights": [0.25, 0.75], "banditVersion": 3}),
    ],
)
def test_a_contextual_bandit_draws_by_the_weights_of_a_leaf(plan: str, expected: Document) -> None:
    known = {"id": "ada", "plan": plan}
    client = visit(BANDIT, attributes=known, contextual_bandits={"policy": LEAVES})
    result = client.feature("f")
    assert result.experiment is not None
    assert result.result is not None
    assert result.experiment["contextualBandit"] == result.result.bandit == expected
    assert client.tracks[0]["result"].items() >= expected.items()
    if plan != "none":
        assert result.value == ("a" if plan == "pro" else "b")


def test_without_leaves_or_weights_a_bandit_shares_equally() -> None:
    rule = {k: v for k, v in BANDIT.items() if k != "weights"}
    result = find(rule, contextual_bandits={"policy": {}}).result
    assert result is not None
    assert result.bandit == {"leafId": -1, "variationWeights": [0.5, 0.5]}


def test_a_bandit_that_nobody_knows_is_a_plain_experiment() -> None:
    result = find(BANDIT)
    assert result.source is Source.EXPERIMENT
    assert result.result is not None
    assert result.result.bandit == {}


def test_the_weights_of_a_leaf_did_not_give_what_was_forced() -> None:
    known: Document = {"contextual_bandits": {"policy": LEAVES}, "forced_variations": {"test": 1}}
    result = find(BANDIT, **known)
    assert result.experiment is not None
    assert result.value == "b"
    assert "contextualBandit" not in result.experiment
