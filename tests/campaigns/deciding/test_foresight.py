"""What is worked out for many at once is what each alone would have got."""

from dataclasses import replace

import numpy as np
import pytest

from audience.customers.finding import Name
from campaigns.deciding.choice import Chooser
from campaigns.deciding.desk import Batch, Visit
from campaigns.deciding.eligibility import Uses
from campaigns.deciding.foresight import Foreseen, foresee
from campaigns.deciding.recall import Known
from campaigns.deciding.snapshot import RunningArm, RunningCampaign, Serves, Snapshot
from campaigns.deciding.tally import Tally
from experiments.assigning.assignment import quantise
from recommender.weighing.in_parts import weigh_here
from tests.campaigns.deciding.test_choice import NOW, SPEC, campaign, ids, offer

ARM = RunningArm(1, "policy", 10_000, Serves.POLICY)
SAID = [{"age": age} for age in (20, 35, "unknown", 50)]


def look(running: RunningCampaign) -> list[Foreseen]:
    return list(foresee(running, SAID, now=NOW, weigh=weigh_here))


def weigh_alone(running: RunningCampaign, seen: Foreseen) -> list[int]:
    eligible = np.zeros(4, dtype=bool)
    eligible[running.places[seen.numbers]] = True
    weights = running.policy.odds.weights(seen.features, eligible)
    return [int(n) for n in quantise(weights[running.places[seen.numbers]])]


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        (campaign(), "abcd"),
        (campaign(*(offer(key, total=5) for key in "abcd")), "abcd"),
        (campaign(offer("d"), offer("a", active=False), offer("b")), "db"),
        (campaign(offer("a"), offer("c", priority=1), offer("b", priority=1)), "cb"),
        (campaign(offer("a"), offer("new"), offer("b")), "ab"),
    ],
)
def test_everybody_is_weighed_for_what_most_may_be_shown(
    running: RunningCampaign, expected: str
) -> None:
    for said, seen in zip(SAID, look(running), strict=True):
        assert "".join(running.keys[n] for n in seen.numbers) == expected
        np.testing.assert_array_equal(seen.features, SPEC.encode(said))
        assert seen.buckets.tolist() == weigh_alone(running, seen)


def test_where_nothing_may_be_shown_only_features_are_foreseen() -> None:
    for seen in look(campaign(offer("a", active=False))):
        assert len(seen.numbers) == len(seen.buckets) == 0
        assert seen.features.shape == (SPEC.size,)


def choose(running: RunningCampaign, seen: Foreseen, tally: Tally, *, foreseen: bool) -> object:
    chooser = Chooser(
        campaign=running,
        arm=ARM,
        features=seen.features,
        customer_key="ada",
        given={},
        uses=Uses({}),
        member_of=frozenset(),
        tally=tally,
        now=NOW,
        foreseen=seen if foreseen else None,
    )
    return list(chooser.choose(ids(3)))


def test_choices_are_the_same_whether_foreseen_or_not() -> None:
    limited = campaign(offer("a", total=1), offer("b"), offer("c"))
    for running in (campaign(), limited):
        seen = look(running)[1]
        # Also where what was foreseen is gone by now.
        for used in ({}, {"offer:a": 1}):
            choices = [choose(running, seen, Tally(used), foreseen=f) for f in (True, False)]
            assert choices[0] == choices[1]


def test_a_second_request_is_not_foreseen_with_the_first_ones_context() -> None:
    running = replace(campaign(), arms=(ARM,))
    snapshot = Snapshot(frozenset({"home"}), {"home": (running,)})
    contexts = [("ada", 20), ("ben", 30), ("ada", 50)]
    visits = [Visit(Name(key), {"home": 1}, {"age": age}) for key, age in contexts]
    batch = Batch(snapshot, visits, NOW)
    known = {key: Known(None, key, given={}, times={}) for key, _ in contexts}
    batch.known = [known[key] for key, _ in contexts]
    batch.decide()
    features = [decision.features for decision in batch.unlogged().decisions]
    assert features == [SPEC.encode({"age": age}).tolist() for _, age in contexts]
