"""What a flag says of an answer, without a database."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from experiments.assigning.evaluation import Reason, RunningArm, RunningExperiment, evaluate
from experiments.ofrep.flags import needs_customer, needs_key, to_flag
from tests.experiments.served import customer_in, hold_out

EVERYBODY: dict[str, Any] = {}
GERMANS = {"country": "DE"}
KEEPING: dict[str, Any] = {
    "prerequisites": (("holdout", "open"),),
    "holdouts": frozenset({"holdout"}),
}
# What OpenFeature's Python provider looks up by name; any other word loses the value.
STANDARD = {"STATIC", "DEFAULT", "TARGETING_MATCH", "SPLIT", "DISABLED", "CACHED", "UNKNOWN"}


def make(*payloads: Any, traffic: int = 10_000, **values: Any) -> RunningExperiment:
    """Make an experiment with arms `v0`, the control, `v1` and so on."""
    weight = 10_000 // len(payloads)
    arms = tuple(
        RunningArm(i + 1, f"v{i}", weight, payload, is_control=i == 0)
        for i, payload in enumerate(payloads)
    )
    served = values.pop("served", None)
    return RunningExperiment(
        id=1,
        key="flag",
        seed="seed",
        arms=arms,
        control=arms[0],
        audience=values.pop("audience", EVERYBODY),
        traffic=traffic,
        served=None if served is None else arms[served],
        **values,
    )


def ask(experiment: RunningExperiment, *, met: int | None = None, **attributes: Any) -> Any:
    """Read the flag as a client does."""
    known = {} if met is None else {1: met}
    made = evaluate("flag", "ada", attributes, {"flag": experiment}, known)
    return json.loads(msgspec.json.encode(to_flag(experiment, made)))


def test_a_drawn_arm_is_a_split_that_names_it() -> None:
    flag = ask(make("a", "b"))
    assert flag["variant"] in {"v0", "v1"}
    assert flag == {
        "key": "flag",
        "reason": "SPLIT",
        "variant": flag["variant"],
        "value": {"v0": "a", "v1": "b"}[flag["variant"]],
        "metadata": {"experiment": "flag", "reason": "assigned", "arm": flag["variant"]},
    }


def test_a_kept_arm_is_a_split() -> None:
    flag = ask(make("a", "b", traffic=0), met=2)
    assert (flag["reason"], flag["variant"]) == ("SPLIT", "v1")
    assert flag["metadata"]["reason"] == "kept"


def test_what_everybody_gets_is_static_and_has_nothing_to_report() -> None:
    assert ask(make("a", "b", served=1)) == {
        "key": "flag", "reason": "STATIC", "variant": "v1", "value": "b",
    }  # fmt: skip


def test_what_an_audience_gets_is_a_match_and_the_others_get_the_default() -> None:
    decided = make("a", "b", served=1, audience=GERMANS)
    inside, outside = ask(decided, country="DE"), ask(decided, country="FR")
    assert (inside["reason"], inside["variant"], inside["value"]) == ("TARGETING_MATCH", "v1", "b")
    assert (outside["reason"], outside["variant"], outside["value"]) == ("DEFAULT", "v0", "a")
    assert outside["metadata"] == {"experiment": "flag", "reason": "not_in_audience"}


def test_what_was_shipped_is_the_controls_for_who_is_held_out_and_a_match_for_the_others() -> None:
    shipped, holdout = make("a", "b", served=1, **KEEPING), hold_out(5000)
    running = {"flag": shipped, "holdout": holdout}

    def ask_as(customer: str) -> Any:
        made = evaluate("flag", customer, {}, running, {})
        return json.loads(msgspec.json.encode(to_flag(shipped, made)))

    held = ask_as(customer_in(holdout.seed, 0, 5000))
    assert (held["reason"], held["variant"], held["value"]) == ("DEFAULT", "v0", "a")
    assert held["metadata"] == {"experiment": "flag", "reason": "prerequisite"}
    for customer in (customer_in(holdout.seed, 5000, 10_000), ""):
        given = ask_as(customer)
        assert (given["reason"], given["variant"]) == ("TARGETING_MATCH", "v1")


@pytest.mark.parametrize(
    ("experiment", "reason", "ours"),
    [
        (make("a", "b", is_paused=True), "DISABLED", "paused"),
        (make("a", "b", traffic=0), "DEFAULT", "outside_traffic"),
        (make("a", "b", prerequisites=(("flag", "v0"),)), "DEFAULT", "prerequisite"),
        (make("a", "b", audience=GERMANS), "DEFAULT", "not_in_audience"),
    ],
    ids=["paused", "no traffic", "prerequisite", "audience"],
)
def test_who_is_not_in_it_gets_what_the_control_gets(
    experiment: RunningExperiment, reason: str, ours: str
) -> None:
    flag = ask(experiment)
    assert (flag["reason"], flag["variant"], flag["value"]) == (reason, "v0", "a")
    assert flag["metadata"]["reason"] == ours


def test_customers_of_a_halted_arm_get_the_controls_value() -> None:
    sound = make("a", "b")
    halted = RunningArm(2, "v1", 5000, "b", is_halted=True)
    broken = RunningExperiment(
        1, "flag", "seed", (sound.arms[0], halted), sound.control, EVERYBODY, 10_000
    )
    flag = ask(broken, met=2)
    assert (flag["reason"], flag["variant"], flag["value"]) == ("DEFAULT", "v0", "a")
    assert ask(sound, met=2)["value"] == "b"


def test_only_who_has_an_arm_of_ones_own_can_report_it() -> None:
    # Reported as the control's, customers of a halted arm and of a pause would swell the control.
    sound = make("a", "b")
    arms = (replace(sound.arms[0], weight=0), replace(sound.arms[1], weight=10_000, is_halted=True))
    for experiment in (
        replace(sound, arms=arms),
        make("a", "b", is_paused=True),
        make("a", "b", served=1, audience=GERMANS),
    ):
        assert "arm" not in ask(experiment, country="DE")["metadata"]
    assert ask(sound)["metadata"]["arm"] == ask(sound)["variant"]


@pytest.mark.parametrize("reason", [each for each in Reason if each != Reason.UNKNOWN])
def test_every_reason_is_one_of_openfeatures(reason: Reason) -> None:
    experiment = make("a", "b")
    answered = evaluate("flag", "ada", {}, {"flag": experiment}, {})
    made = type(answered)("v0", "a", reason)
    assert to_flag(experiment, made).reason in STANDARD


@pytest.mark.parametrize(
    ("payloads", "written"),
    [
        ((10.0, 10.5), b"10.0"),
        ((10, 10.5), b"10.0"),
        ((0, 0.5), b"0.0"),
        ((10, 20), b"10"),
        ((True, 0.5), b"true"),
        ((10, None), b"10"),
        (({"price": 10.0}, {}), b'{"price":10.0}'),
        (([1, 2.0], []), b"[1,2.0]"),
        (("", "b"), b'""'),
        ((False, True), b"false"),
        (({}, {"a": 1}), b"{}"),
    ],
)
def test_a_value_keeps_its_flags_type(payloads: tuple[Any, ...], written: bytes) -> None:
    experiment = make(*payloads, served=0)
    made = evaluate("flag", "ada", {}, {"flag": experiment}, {})
    assert b'"value":' + written in msgspec.json.encode(to_flag(experiment, made))


def test_an_arm_without_a_payload_leaves_the_value_to_the_application() -> None:
    flag = ask(make(None, "b", is_paused=True))
    assert "value" not in flag
    assert flag["variant"] == "v0"


def test_a_degraded_flag_says_so() -> None:
    experiment = make("a", "b")
    made = evaluate("flag", "ada", {}, {"flag": experiment}, {})
    metadata = to_flag(experiment, made, is_degraded=True).metadata
    assert isinstance(metadata, dict)
    assert metadata["degraded"] is True


@pytest.mark.parametrize(
    ("experiment", "customer", "hashed"),
    [
        (make("a", "b"), True, True),
        (make("a", "b", served=0), False, False),
        (make("a", "b", served=0, audience=GERMANS), True, False),
        (make("a", "b", served=1, **KEEPING), True, False),
        (make("a", "b", served=0, **KEEPING), False, False),
        (make("a", "b", is_paused=True, audience=GERMANS), False, False),
    ],
    ids=[
        "running",
        "decided",
        "decided for an audience",
        "shipped but for a hold-out",
        "rolled back",
        "paused",
    ],
)
def test_it_is_known_what_a_flag_depends_on(
    experiment: RunningExperiment, *, customer: bool, hashed: bool
) -> None:
    assert (needs_customer(experiment), needs_key(experiment)) == (customer, hashed)
