"""The payload gives every customer what our own evaluation answers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from experiments.assigning.assignment import BUCKETS
from experiments.assigning.evaluation import GroupShare, RunningExperiment, evaluate
from experiments.growthbook.context import Context
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.payload import Extras, is_helper, to_payload
from tests.experiments.growthbook.worlds import ATTRIBUTES, CUSTOMERS, worlds
from tests.experiments.served import CONTROL, NEW, PLAIN, customer_in, hold_out

HOLDOUT = hold_out(5000)
HELD_OUT, OPEN = HOLDOUT.arms
GUARDED = replace(PLAIN, prerequisites=(("holdout", "open"),), holdouts=frozenset({"holdout"}))


def visit(running: Mapping[str, RunningExperiment], customer: str, **attributes: Any) -> Evaluator:
    """Read the payload as a client does, from its bytes."""
    payload = msgspec.json.decode(msgspec.json.encode(to_payload(running)))
    return Evaluator(
        Context(features=payload["features"], attributes={**attributes, "id": customer})
    )


def exposures(evaluator: Evaluator) -> list[tuple[str, str]]:
    """List the experiments and arms that the tracking callback hears of."""
    return [(str(t["experiment"]["key"]), str(t["result"]["key"])) for t in evaluator.tracks]


@settings(max_examples=40, deadline=None)
@given(running=worlds(), customer=CUSTOMERS, attributes=ATTRIBUTES)
def test_an_sdk_gives_the_arm_and_tells_the_exposures_that_our_evaluation_does(
    running: dict[str, RunningExperiment], customer: str, attributes: dict[str, Any]
) -> None:
    names = {(e.id, arm.id): (e.key, arm.key) for e in running.values() for arm in e.arms}
    for key in running:
        expected = evaluate(key, customer, attributes, running, {})
        client = visit(running, customer, **attributes)
        assert client.feature(key).value == expected.payload
        assert set(exposures(client)) == {names[pair] for pair in expected.exposures}


@settings(max_examples=40, deadline=None)
@given(running=worlds(), customer=CUSTOMERS, attributes=ATTRIBUTES)
def test_a_helper_gives_the_key_of_the_arm(
    running: dict[str, RunningExperiment], customer: str, attributes: dict[str, Any]
) -> None:
    required = {key for e in running.values() for key, _ in e.keeps_to if key in running}
    for key in required:
        expected = evaluate(key, customer, attributes, running, {})
        assert visit(running, customer, **attributes).feature(f"{key}:arm").value == (
            expected.arm_key
        )


def test_an_experiment_is_a_feature_that_says_its_buckets() -> None:
    running = {"price": replace(PLAIN, traffic=2500, audience={"plan": "pro"})}
    assert to_payload(running) == {
        "features": {
            "price": {
                "defaultValue": None,
                "rules": [
                    {
                        "key": "price",
                        "variations": [{"price": 10}, {"price": 8}],
                        "meta": [{"key": "control"}, {"key": "new"}],
                        "ranges": [[0.0, 0.125], [0.5, 0.625]],
                        "seed": "price:s",
                        "hashAttribute": "id",
                        "hashVersion": 2,
                        "condition": {"plan": "pro"},
                    }
                ],
            }
        }
    }


def test_who_is_held_out_gets_nothing_and_is_told_of() -> None:
    running = {"price": GUARDED, "holdout": HOLDOUT}
    client = visit(running, customer_in("holdout:s", 0, 5000))
    assert client.feature("price").value is None
    assert exposures(client) == [("holdout", "held-out")]


def test_who_is_not_held_out_is_told_of_in_both() -> None:
    running = {"price": GUARDED, "holdout": HOLDOUT}
    client = visit(running, customer_in("holdout:s", 5000, BUCKETS))
    assert client.feature("price").value in ({"price": 10}, {"price": 8})
    assert [key for key, _ in exposures(client)] == ["holdout", "price"]


@pytest.mark.parametrize(
    "narrowed",
    [replace(GUARDED, audience={"plan": "pro"}), replace(GUARDED, group=GroupShare("g", 0, 0))],
)
def test_who_is_not_let_in_is_not_exposed_to_what_is_required(narrowed: RunningExperiment) -> None:
    client = visit({"price": narrowed, "holdout": HOLDOUT}, "ada", plan="free")
    assert client.feature("price").value is None
    assert exposures(client) == []


def test_a_halted_arm_gives_the_control_s_payload_and_exposes_nobody() -> None:
    halted = replace(PLAIN, arms=(CONTROL, replace(NEW, is_halted=True)))
    client = visit({"price": halted}, customer_in("price:s", 5000, BUCKETS))
    assert client.feature("price").value == {"price": 10}
    assert exposures(client) == []


@pytest.mark.parametrize(
    ("decided", "expected"),
    [
        (replace(PLAIN, is_paused=True, audience={"plan": "pro"}), {"price": 10}),
        (replace(PLAIN, served=NEW), {"price": 8}),
        (replace(PLAIN, served=NEW, audience={"plan": "free"}, traffic=0), {"price": 8}),
        (replace(PLAIN, served=NEW, audience={"plan": "pro"}), None),
    ],
)
def test_what_is_paused_or_decided_gives_all_the_same_and_exposes_nobody(
    decided: RunningExperiment, expected: Any
) -> None:
    client = visit({"price": decided}, "ada", plan="free")
    assert client.feature("price").value == expected
    assert exposures(client) == []


SHIPPED = replace(GUARDED, served=NEW, audience={"plan": "pro"}, group=GroupShare("g", 0, 0))


def test_what_was_shipped_is_withheld_from_who_is_held_out_and_measured_by_the_hold_out() -> None:
    running = {"price": SHIPPED, "holdout": HOLDOUT}
    held, let_in = customer_in("holdout:s", 0, 5000), customer_in("holdout:s", 5000, BUCKETS)
    for customer, value, arm in ((held, None, "held-out"), (let_in, {"price": 8}, "open")):
        client = visit(running, customer, plan="pro")
        assert client.feature("price").value == value
        assert exposures(client) == [("holdout", arm)]
        outside = visit(running, customer, plan="free")
        assert (outside.feature("price").value, exposures(outside)) == (None, [])


def test_who_is_on_neither_side_of_a_hold_out_gets_what_was_shipped() -> None:
    half = replace(HOLDOUT, traffic=5000)
    for bucket in (2500, 7500):
        client = visit(
            {"price": SHIPPED, "holdout": half},
            customer_in("holdout:s", bucket, bucket + 1),
            plan="pro",
        )
        assert (client.feature("price").value, exposures(client)) == ({"price": 8}, [])


def test_what_was_rolled_back_asks_no_hold_out() -> None:
    payload = to_payload({"price": replace(GUARDED, served=CONTROL), "holdout": HOLDOUT})
    assert payload["features"]["price"]["rules"] == [{"force": {"price": 10}}]
    assert payload["features"].keys() == {"price", "holdout"}


def test_what_is_required_and_does_not_run_lets_nobody_in() -> None:
    client = visit({"price": GUARDED}, "ada")
    assert client.feature("price").value is None


def test_a_name_of_an_experiment_is_no_helper_s() -> None:
    payload = to_payload({"price": GUARDED, "holdout": HOLDOUT})
    assert [key for key in payload["features"] if not is_helper(key)] == ["price", "holdout"]


def test_others_add_features_and_bandits() -> None:
    first = Extras({"offer": {"defaultValue": 1}}, {"policy": {"banditVersion": 3}})
    payload = to_payload({"price": PLAIN}, extras=[first, Extras()])
    assert payload["features"].keys() == {"price", "offer"}
    assert payload["contextualBandits"] == {"policy": {"banditVersion": 3}}


def test_nobody_takes_a_key_that_is_taken() -> None:
    with pytest.raises(ValueError, match="taken already: \\['price'\\]"):
        to_payload({"price": PLAIN}, extras=[Extras({"price": {}})])
