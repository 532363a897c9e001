"""A policy that only clients draw by learns from what they tell, and another one can be judged."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from audience.models import RejectedEvent
from campaigns.client_draws.growthbook import to_extras
from campaigns.deciding.snapshot import RunningCampaign
from experiments.growthbook.context import Context
from experiments.growthbook.evaluator import Evaluator
from experiments.models import Exposure
from recommender.learning.learn import learn_batch
from recommender.models import Decision
from recommender.offpolicy.values import PolicyValue
from recommender.offpolicy.weighting import ips
from recommender.weighing.features import CategoryFeature, FeatureSpec
from tests.campaigns.client_shop import ClientShop, open_intake, properties_of
from tests.makers import DAY, HOUR, NOW, make_campaign, make_offer

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SPEC = FeatureSpec((CategoryFeature("country", ("de", "fr")),))
OFFERS = ("gift", "saving")
# The chance of an order, by country, for each offer.
CHANCES = {"de": (0.5, 0.2), "fr": (0.2, 0.5), "us": (0.3, 0.3)}
# A policy that gives each its best, mostly; where none is, either.
TARGET = {"de": (0.9, 0.1), "fr": (0.1, 0.9), "us": (0.5, 0.5)}
N = 2500


class Shop(ClientShop):
    @property
    def policy_campaign(self) -> RunningCampaign:
        return self.running.campaigns[self.campaign.placement.key][0]

    def open(self, countries: Mapping[str, str], *, hours: int) -> None:
        """Let customers come, who draw an offer by themselves and order by their chance."""
        at = NOW + hours * HOUR
        extras = to_extras(self.running, now=at)
        rng = random.Random(f"orders:{hours}")  # noqa: S311 - nobody has to guess it
        messages: list[dict[str, Any]] = []
        for customer, country in countries.items():
            evaluator = Evaluator(
                Context(
                    features=extras.features,
                    contextual_bandits=extras.contextual_bandits,
                    attributes={"id": customer, "country": country},
                )
            )
            offer = evaluator.feature(self.campaign.key).value
            messages.append(
                {"type": "identify", "userId": customer, "traits": {"country": country}}
            )
            for told in evaluator.tracks:
                said = properties_of(told["experiment"], told["result"])
                messages.append(event("Experiment Viewed", customer, at, properties=said))
            chance = 0.1 if offer is None else CHANCES[country][OFFERS.index(offer["key"])]
            if rng.random() < chance:
                messages.append(event("Order Completed", customer, at + timedelta(minutes=5)))
        for first in range(0, len(messages), 500):
            batch = {"batch": messages[first : first + 500]}
            assert self.site.post("/v1/batch", batch, key=self.key).status == 200


def event(name: str, customer: str, at: Any, **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": name, "userId": customer, "timestamp": at.isoformat(), **more}


@pytest.fixture
def shop(transactional_db: None) -> Iterator[Shop]:
    campaign = make_campaign(
        offers=[make_offer(key=key) for key in OFFERS],
        features=SPEC,
        reward_window_seconds=3600,
        # Long enough on either side of a decision that there is something to learn for sure.
        floor=0.1,
        # By these everything is drawn, so that it goes the same way each time.
        key="story",
        seed="story",
    )
    with open_intake(now=NOW + DAY) as (site, key, snapshot):
        yield Shop(site, key, snapshot, campaign)


def customers(prefix: str) -> dict[str, str]:
    rng = random.Random(prefix)  # noqa: S311 - nobody has to guess it
    return {f"{prefix}{n}": rng.choice(["de", "fr", "us"]) for n in range(N)}


def value_of_target(decisions: Sequence[Decision], countries: Mapping[str, str]) -> PolicyValue:
    """Estimate what the target would earn, from decisions of another policy."""
    names = [countries[decision.customer.external_key] for decision in decisions]
    offers = [OFFERS.index(str(decision.offer)) for decision in decisions]
    value = ips(
        np.array([decision.reward.value for decision in decisions]),
        np.array([TARGET[name][offer] for name, offer in zip(names, offers, strict=True)]),
        np.array([decision.propensity for decision in decisions]),
    )
    assert isinstance(value, PolicyValue)
    return value


def test_a_policy_that_clients_draw_by_learns_and_another_is_judged_by_its_log(shop: Shop) -> None:
    policy_id, first, second = shop.campaign.policy.pk, customers("a"), customers("b")
    # Nothing is learned yet, so everybody but the hold-out draws by the baseline's shares.
    shop.open(first, hours=1)
    assert learn_batch(policy_id, now=NOW + 3 * HOUR) is not None
    leaves = shop.policy_campaign.policy.leaves
    assert leaves is not None
    assert len(leaves.leaves) > 1

    shop.open(second, hours=4)
    assert learn_batch(policy_id, now=NOW + 6 * HOUR) is not None
    assert not RejectedEvent.objects.exists()
    assert Exposure.objects.count() == 2 * N

    decisions = Decision.objects.filter(policy_version=1).select_related("customer", "reward")
    assert decisions.count() > N / 2
    for decision in decisions:
        leaf = leaves.find({"country": second[decision.customer.external_key]})
        assert decision.weights == pytest.approx(leaf.weights, abs=1e-4)
        assert decision.propensity == decision.weights[OFFERS.index(str(decision.offer))]
    best = {
        country: OFFERS[int(np.argmax(leaves.find({"country": country}).weights))]
        for country in ("de", "fr")
    }
    assert best == {"de": "gift", "fr": "saving"}

    value = value_of_target(list(decisions), second)
    met = [second[decision.customer.external_key] for decision in decisions]
    truth = float(np.mean([np.dot(TARGET[country], CHANCES[country]) for country in met]))
    error = float(value.scores.influence.std(ddof=1)) / value.support.n**0.5
    assert abs(value.estimate - truth) < 2 * error
