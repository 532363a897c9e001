"""What clients drew is made again from the log alone, and a changed row is not confirmed."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from campaigns.client_draws.growthbook import to_extras
from campaigns.deciding.draw import is_held_back
from campaigns.replaying import replay
from recommender.models import Decision, PolicyLeaves
from tests.campaigns.client_draws.leaved import (
    LEAVES,
    OFFERS,
    SPEC,
    VERSION,
    evaluate,
    make_attributes,
)
from tests.campaigns.client_shop import ClientShop, open_intake, properties_of
from tests.makers import HOUR, NOW, make_campaign, make_offer

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOW + HOUR


@pytest.fixture
def shop(transactional_db: None) -> Iterator[ClientShop]:
    """A campaign whose policy has leaves, and no decision yet."""
    offers = [make_offer(key=key) for key in OFFERS]
    # Clients draw by the key, so with one of its own they would draw otherwise in every run.
    campaign = make_campaign(key="shop", offers=offers, features=SPEC, held_back_share=0.3)
    PolicyLeaves.objects.create(
        policy=campaign.policy, version=VERSION, table=LEAVES.to_json(), published_at=NOW
    )
    with open_intake(now=NOW + 6 * HOUR) as (site, key, snapshot):
        yield ClientShop(site, key, snapshot, campaign)


def draw_offers(shop: ClientShop, *, named: str = "userId", count: int = 40) -> None:
    """Let customers' clients draw, and tell of it under some name."""
    extras = to_extras(shop.running, now=LATER)
    batch: list[dict[str, Any]] = []
    for number, traits in enumerate(make_attributes(count, seed=3)):
        name = f"c{number}"
        batch.append({"type": "identify", named: name, "traits": traits})
        batch += (
            {
                "type": "track",
                "event": "Experiment Viewed",
                named: name,
                "timestamp": LATER.isoformat(),
                "properties": properties_of(told["experiment"], told["result"]),
            }
            for told in evaluate(extras, shop.campaign.key, id=name, **traits).tracks
        )
    assert shop.site.post("/v1/batch", {"batch": batch}, key=shop.key).status == 200


@pytest.mark.parametrize("named", ["userId", "anonymousId"])
def test_every_draw_of_a_client_is_confirmed(shop: ClientShop, named: str) -> None:
    draw_offers(shop, named=named)
    made = [replay(decision.pk) for decision in Decision.objects.all()]
    assert all(one.is_confirmed for one in made)
    assert {one.offer for one in made} == set(OFFERS)
    weighed = {one.decision.arm for one in made if one.furthest_weight is not None}
    assert (weighed, {one.decision.arm for one in made}) == (
        {"personalised"},
        {"control", "personalised"},
    )


def test_a_draw_for_a_visitor_is_confirmed_when_it_turned_out_who_that_was(
    shop: ClientShop,
) -> None:
    draw_offers(shop, named="anonymousId")
    known = [{"type": "identify", "userId": f"ada-{n}", "anonymousId": f"c{n}"} for n in range(40)]
    assert shop.site.post("/v1/batch", {"batch": known}, key=shop.key).status == 200
    assert Decision.objects.filter(customer__merged_into__isnull=False).exists()
    assert all(replay(decision.pk).is_confirmed for decision in Decision.objects.all())


def test_a_visitor_is_held_back_from_learning_as_on_the_site(shop: ClientShop) -> None:
    draw_offers(shop, named="anonymousId")
    policy = shop.campaign.policy
    for decision in Decision.objects.select_related("customer"):
        assert decision.held_back is is_held_back(
            policy.key,
            customer_key=decision.customer.external_key,
            share=policy.held_back_share,
        )


@pytest.mark.parametrize("change", ["offer", "weights", "leaf"])
def test_a_draw_that_was_changed_in_the_log_is_not_confirmed(shop: ClientShop, change: str) -> None:
    draw_offers(shop)
    decision = Decision.objects.filter(arm="personalised").earliest("pk")
    least, *middle, most = sorted(decision.weights)
    leaf = next(n for n in range(len(LEAVES.leaves)) if f"leaf {n} " not in decision.reasons[0])
    _, *others = decision.reasons
    changed: dict[str, dict[str, Any]] = {
        "offer": {"offer": next(key for key in decision.eligible if key != decision.offer)},
        "weights": {"weights": [most - 0.01, *middle, least + 0.01]},
        "leaf": {"reasons": [f"drawn by leaf {leaf} of policy version {VERSION}", *others]},
    }
    Decision.objects.filter(pk=decision.pk).update(**changed[change])
    with pytest.raises(CommandError, match="does not come out"):
        call_command("replay_decision", str(decision.pk), stdout=StringIO())


def test_where_the_leaves_are_gone_the_draw_is_confirmed_all_the_same(shop: ClientShop) -> None:
    draw_offers(shop)
    PolicyLeaves.objects.all().delete()
    made = [replay(decision.pk) for decision in Decision.objects.all()]
    assert all(one.is_confirmed and one.furthest_weight is None for one in made)
