"""A resolved payload gives, without any attribute, what the whole one gives a customer."""

from typing import Any

from hypothesis import given, settings

from experiments.assigning.evaluation import RunningExperiment
from experiments.growthbook.context import Context
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.payload import to_payload
from experiments.growthbook.resolving import resolve_features
from tests.experiments.growthbook.worlds import ATTRIBUTES, CUSTOMERS, KEYS, worlds


@settings(max_examples=40, deadline=None)
@given(running=worlds(), customer=CUSTOMERS, attributes=ATTRIBUTES)
def test_values_and_exposures_stay_what_they_were(
    running: dict[str, RunningExperiment], customer: str, attributes: dict[str, Any]
) -> None:
    whole = Context(
        features=to_payload(running)["features"], attributes={**attributes, "id": customer}
    )
    resolved = Context(features=resolve_features(whole))
    for key in KEYS:
        expected, actual = Evaluator(whole), Evaluator(resolved)
        assert actual.feature(key).value == expected.feature(key).value
        assert actual.tracks == expected.tracks


def test_what_only_helps_others_is_left_out() -> None:
    context = Context(features={"price": {"defaultValue": 1}, "price:arm": {"defaultValue": 2}})
    assert resolve_features(context) == {
        "price": {"defaultValue": None, "rules": [{"force": 1}]},
    }


def test_a_feature_that_gives_nothing_has_no_rules() -> None:
    assert resolve_features(Context(features={"price": {}})) == {"price": {"defaultValue": None}}


def test_an_exposure_that_gives_nothing_is_told_by_a_prerequisite() -> None:
    rule = {"key": "e", "variations": [None, None], "hashVersion": 2}
    context = Context(features={"f": {"rules": [rule]}}, attributes={"id": "ada"})
    resolved = resolve_features(context)
    client = Evaluator(Context(features=resolved))
    assert client.feature("f").value is None
    assert [track["experiment"]["key"] for track in client.tracks] == ["e"]
    # The Python SDK passes over a rule that forces null.
    forced = [rule["force"] for f in resolved.values() for rule in f["rules"]]
    assert None not in forced
