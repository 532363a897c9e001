"""Past decisions come out again as they were logged, and a changed row does not."""

import uuid
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from audience.models import Scope
from campaigns.models import Campaign
from campaigns.replaying import replay
from recommender.learning.learn import learn_batch
from recommender.models import Decision
from recommender.weighing.features import FeatureSpec, NumberFeature
from tests.asgi import open_site
from tests.makers import event_row, make_campaign, make_events, make_offer, make_source

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def campaign(transactional_db: None) -> Campaign:
    """A campaign that decided slates for 60 customers by a version that had learned."""
    campaign = make_campaign(
        started_at=timezone.now(),
        offers=[make_offer() for _ in range(5)],
        features=FeatureSpec((NumberFeature("age", 40.0, 10.0),)),
        reward_window_seconds=1,
        held_back_share=0.3,
        bandit="linear_thompson",
    )
    _, key = make_source(Scope.DECIDE)

    def decide(first: int) -> None:
        with open_site() as site:
            for number in range(first, first + 30):
                body = {
                    "customer": f"c{number}",
                    "placements": [{"key": campaign.placement.key, "count": 2}],
                    "context": {"age": 20 + number},
                }
                assert site.post("/api/v1/decide", body, key=key).status == 200

    decide(0)
    # Every second customer orders, so that the policy learns and no offer is a sure one.
    make_events(
        [
            event_row(decision.customer, "Order Completed", at=decision.decided_at)
            for decision in Decision.objects.filter(position=0).select_related("customer")
            if int(decision.customer.external_key[1:]) % 2
        ]
    )
    assert learn_batch(campaign.policy_id, now=timezone.now() + timedelta(minutes=1)) is not None
    decide(30)
    return campaign


def test_every_decision_is_confirmed(campaign: Campaign) -> None:
    replays = [replay(decision.pk) for decision in Decision.objects.all()]
    assert all(made.is_confirmed for made in replays)
    assert {made.decision.position for made in replays} == {0, 1}
    weighed = [made for made in replays if made.furthest_weight is not None]
    assert weighed
    assert {made.decision.policy_version for made in weighed} == {1}
    assert {made.decision.held_back for made in weighed} == {True, False}


@pytest.mark.parametrize("change", ["offer", "propensity", "weights", "features"])
def test_a_row_that_was_changed_is_not_confirmed(campaign: Campaign, change: str) -> None:
    weighed = Decision.objects.filter(policy_version=1, position=0)
    decision = min(weighed, key=lambda each: max(each.weights))
    least, *middle, most = sorted(decision.weights)
    assert middle
    changed = {
        "offer": next(key for key in decision.eligible if key != decision.offer),
        "propensity": decision.propensity / 2,
        "weights": [most - 0.01, *middle, least + 0.01],
        "features": [1.0, 8.0],
    }[change]
    Decision.objects.filter(pk=decision.pk).update(**{change: changed})
    assert not replay(decision.pk).is_confirmed
    with pytest.raises(CommandError, match="does not come out"):
        call_command("replay_decision", str(decision.pk), stdout=StringIO())


def test_the_command_says_what_was_drawn_from_what(campaign: Campaign) -> None:
    decision = Decision.objects.filter(policy_version=1, position=0)[0]
    out = StringIO()
    call_command("replay_decision", str(decision.pk), stdout=out)
    assert f"drawn again: {decision.offer}, the same" in out.getvalue()
    assert all(key in out.getvalue() for key in decision.eligible)
    held_out = Decision.objects.filter(offer=None)[0]
    out = StringIO()
    call_command("replay_decision", str(held_out.pk), stdout=out)
    assert "hold-out: no offer" in out.getvalue()


def test_an_unknown_decision_is_said_to_be_unknown(db: None) -> None:
    with pytest.raises(CommandError, match="No decision has the id"):
        call_command("replay_decision", str(uuid.uuid4()))
