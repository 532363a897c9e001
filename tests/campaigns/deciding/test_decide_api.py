"""The decide API, over ASGI, on the real database and Redis."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import time_machine
from django.utils import timezone

from audience.models import Customer, Identity, Scope
from campaigns.deciding.draw import draw_offer, draw_seed
from campaigns.lifecycle.status import finish_campaign, pause_campaign
from campaigns.models import Campaign, CampaignOffer, Offer
from experiments.lifecycle.adjusting import halt_arm
from experiments.models import Exposure
from recommender.learning.learn import learn_batch
from recommender.models import Decision, PolicyVersion, Reward
from recommender.weighing.features import CategoryFeature, FeatureSpec
from recommender.weighing.odds import Odds
from tests.asgi import Answer, Site, open_site
from tests.makers import make_campaign, make_offer, make_placement, make_source
from wire.notices import announce_change

PATH = "/api/v1/decide"
# A changed campaign is seen within this time.
SEEN_SECONDS = 0.7

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with open_site() as site:
        yield site


@pytest.fixture
def key(transactional_db: None) -> str:
    return make_source(Scope.DECIDE)[1]


def start(**plan: Any) -> Campaign:
    """Start a campaign now, in a placement of its own."""
    return make_campaign(started_at=timezone.now(), **plan)


def ask(site: Site, campaign: Campaign, customer: str, *, key: str, **context: Any) -> Any:
    """Ask for the offer in the campaign's placement."""
    body = {"customer": customer, "placements": [campaign.placement.key], "context": context}
    answer = site.post(PATH, body, key=key)
    assert answer.status == 200, answer.text
    return answer.json()["decisions"][0]


def ask_until(site: Site, campaign: Campaign, key: str, *, wanted: Callable[[Any], bool]) -> Any:
    """Ask for new customers until one gets what is wanted; chance may take a while."""
    for number in range(500):
        answer = ask(site, campaign, f"u{number}", key=key)
        if wanted(answer):
            return answer
    raise AssertionError("nobody of 500 got it")


def count_rows() -> tuple[int, ...]:
    """Count everything that a decision writes."""
    models = (Customer, Decision, Reward, Exposure)
    return tuple(model.objects.count() for model in models)


def test_a_decision_is_logged_as_it_is_answered(site: Site, key: str) -> None:
    campaign = start(features=FeatureSpec((CategoryFeature("segment", ("gold", "new")),)))
    answer = ask(site, campaign, "ada", key=key, segment="gold")
    decision = Decision.objects.get(pk=answer["decision_id"])
    assert decision.campaign == answer["campaign"] == campaign.key
    assert decision.arm == answer["arm"]
    assert decision.propensity == answer["propensity"]
    assert decision.offer == (answer["offer"] or {}).get("key")
    assert decision.customer.external_key == "ada"
    assert decision.features == [1.0, 1.0, 0.0]
    assert Exposure.objects.get(customer=decision.customer).arm.key == decision.arm
    assert Reward.objects.get(pk=decision.pk).settled_at is None


def test_every_logged_decision_replays_from_its_row(site: Site, key: str) -> None:
    campaign = start(offers=[make_offer() for _ in range(4)])
    for number in range(60):
        ask(site, campaign, f"c{number}", key=key)
    decisions = list(Decision.objects.exclude(offer=None))
    assert decisions
    for decision in decisions:
        draw = draw_offer(
            decision.weights,
            seed=draw_seed(
                decision.campaign,
                version=decision.policy_version or 0,
                decision_id=decision.pk,
            ),
            customer_key=decision.customer.external_key,
        )
        assert decision.eligible[draw.index] == decision.offer
        assert draw.propensity == decision.propensity
        assert list(draw.weights) == decision.weights


def test_each_arm_gives_what_it_should(site: Site, key: str) -> None:
    campaign = start()
    held_out = ask_until(site, campaign, key, wanted=lambda a: a["arm"] == "hold-out")
    control = ask_until(site, campaign, key, wanted=lambda a: a["arm"] == "control")
    personalised = ask_until(site, campaign, key, wanted=lambda a: a["arm"] == "personalised")
    assert held_out["offer"] is None
    assert held_out["propensity"] == 1.0
    assert control["offer"] is not None
    assert control["policy_version"] is None
    assert personalised["offer"] is not None
    assert personalised["policy_version"] == 0


def test_a_learned_policy_weighs_as_it_published(site: Site, key: str) -> None:
    campaign = start(reward_window_seconds=1)
    ask(site, campaign, "ada", key=key)
    for number in range(20):
        ask(site, campaign, f"c{number}", key=key)
    later = timezone.now() + timedelta(minutes=1)
    learned = learn_batch(campaign.policy_id, now=later)
    assert learned is not None
    assert learned.version == 1
    announce_change()
    site.run(asyncio.sleep(SEEN_SECONDS))
    answer = ask_until(site, campaign, key, wanted=lambda a: a["arm"] == "personalised")
    assert answer["policy_version"] == 1
    decision = Decision.objects.get(pk=answer["decision_id"])
    odds = Odds.from_bytes(bytes(PolicyVersion.objects.get(policy=campaign.policy).odds))
    weights = odds.weights(np.array(decision.features), np.ones(2, dtype=bool))
    # To the nearest hash bucket.
    assert decision.weights == pytest.approx(weights, abs=1e-4)


def test_an_offer_is_kept_while_it_holds_and_drawn_anew_after(site: Site, key: str) -> None:
    campaign = start(hold_minutes=30)
    with time_machine.travel(timezone.now(), tick=True) as clock:
        first = ask(site, campaign, "ada", key=key)
        assert ask(site, campaign, "ada", key=key)["decision_id"] == first["decision_id"]
        clock.shift(timedelta(minutes=31))
        later = ask(site, campaign, "ada", key=key)
    assert later["decision_id"] != first["decision_id"]
    assert later["arm"] == first["arm"]
    assert Decision.objects.count() == 2
    assert Exposure.objects.count() == 1


def test_an_offer_that_is_switched_off_is_not_kept(site: Site, key: str) -> None:
    campaign = start()
    first = ask_until(site, campaign, key, wanted=lambda a: a["offer"] is not None)
    customer = Decision.objects.get(pk=first["decision_id"]).customer.external_key
    Offer.objects.filter(key=first["offer"]["key"]).update(is_active=False)
    announce_change()
    site.run(asyncio.sleep(SEEN_SECONDS))
    second = ask(site, campaign, customer, key=key)
    assert second["offer"]["key"] != first["offer"]["key"]
    assert f"{first['offer']['key']} is switched off" in second["reasons"]
    assert second["propensity"] == 1.0


def test_without_an_eligible_offer_nothing_is_shown_and_the_reason_is_logged(
    site: Site, key: str
) -> None:
    campaign = start()
    Offer.objects.update(is_active=False)
    answer = ask_until(site, campaign, key, wanted=lambda a: a["arm"] == "personalised")
    assert answer["offer"] is None
    assert "no offer is eligible" in Decision.objects.get(pk=answer["decision_id"]).reasons


def test_an_offer_added_while_running_waits_for_the_next_version(site: Site, key: str) -> None:
    campaign = start(offers=[make_offer()])
    ask(site, campaign, "first", key=key)
    late = make_offer()
    CampaignOffer.objects.create(campaign=campaign, offer=late, position=1)
    announce_change()
    site.run(asyncio.sleep(SEEN_SECONDS))
    ask_until(
        site,
        campaign,
        key,
        wanted=lambda a: a["arm"] == "control" and a["offer"]["key"] == late.key,
    )
    assert not Decision.objects.filter(arm="personalised", offer=late.key).exists()


def test_the_first_campaign_of_a_placement_decides_even_if_it_shows_nothing(
    site: Site, key: str
) -> None:
    placement = make_placement()
    first = start(placement=placement, priority=1)
    start(placement=placement, priority=2)
    ask_until(site, first, key, wanted=lambda a: a["offer"] is None)
    assert set(Decision.objects.values_list("campaign", flat=True)) == {first.key}


def test_a_campaign_outside_its_time_leaves_the_placement_to_the_next(site: Site, key: str) -> None:
    placement = make_placement()
    ahead = timezone.now() + timedelta(days=1)
    early = start(placement=placement, priority=1, starts_at=ahead)
    second = start(placement=placement, priority=2)
    assert ask(site, early, "ada", key=key)["campaign"] == second.key


@pytest.mark.parametrize("end", [pause_campaign, finish_campaign])
def test_a_campaign_that_ends_stops_deciding_within_a_second(
    site: Site, key: str, end: Any
) -> None:
    campaign = start()
    assert ask(site, campaign, "ada", key=key)["campaign"] == campaign.key
    end(campaign, by=None, now=timezone.now(), reason="test")
    site.run(asyncio.sleep(SEEN_SECONDS))
    answer = ask(site, campaign, "bob", key=key)
    assert answer["campaign"] is None
    assert answer["offer"] is None


def test_a_halted_arm_gives_what_the_control_gives_and_exposes_nobody_more(
    site: Site, key: str
) -> None:
    campaign = start(hold_minutes=30)
    before = ask_until(site, campaign, key, wanted=lambda a: a["arm"] == "personalised")
    customer = Decision.objects.get(pk=before["decision_id"]).customer.external_key
    exposed = Exposure.objects.filter(arm__key="personalised").count()
    halt_arm(campaign.experiment, "personalised", by=None, now=timezone.now(), reason="harm")
    site.run(asyncio.sleep(SEEN_SECONDS))
    # What the policy chose is not kept, though it would hold; what the control gives then is.
    after = ask(site, campaign, customer, key=key)
    assert after["decision_id"] != before["decision_id"]
    assert (after["arm"], after["policy_version"]) == ("personalised", None)
    assert ask(site, campaign, customer, key=key)["decision_id"] == after["decision_id"]
    newcomers = [ask(site, campaign, f"new-{number}", key=key) for number in range(20)]
    assert {a["policy_version"] for a in newcomers} == {None}
    assert "personalised" in {a["arm"] for a in newcomers}
    assert Exposure.objects.filter(arm__key="personalised").count() == exposed


def test_a_visitor_who_turns_out_to_be_a_customer_keeps_arm_and_offer(site: Site, key: str) -> None:
    campaign = start()
    _, events_key = make_source(Scope.EVENTS)
    for number in range(12):
        browser, customer = f"browser-{number}", f"customer-{number}"
        body = {"anonymous_id": browser, "placements": [campaign.placement.key]}
        before = site.post(PATH, body, key=key).json()["decisions"][0]
        visitor = Identity.objects.get(value=browser).customer
        assert visitor.external_key == f"anonymous:{browser}"
        identify = {"userId": customer, "anonymousId": browser}
        assert site.post("/v1/identify", identify, key=events_key).status == 200
        assert site.post(PATH, body, key=key).json()["decisions"][0] == before
        assert ask(site, campaign, customer, key=key) == before
    assert Exposure.objects.count() == 12


def test_whoever_is_held_back_from_learning_stays_so_under_every_name(site: Site, key: str) -> None:
    campaign = start(hold_minutes=0, held_back_share=0.5)
    _, events_key = make_source(Scope.EVENTS)
    for number in range(24):
        browser, customer = f"browser-{number}", f"customer-{number}"
        body = {"anonymous_id": browser, "placements": [campaign.placement.key]}
        # Of every second one it is known from the start who it is.
        if number % 2:
            assert site.post(PATH, body, key=key).status == 200
        identify = {"userId": customer, "anonymousId": browser}
        assert site.post("/v1/identify", identify, key=events_key).status == 200
        assert site.post(PATH, body, key=key).status == 200
        ask(site, campaign, customer, key=key)
    found: dict[int, set[bool]] = {}
    for decision in Decision.objects.exclude(arm="hold-out").select_related("customer"):
        person = decision.customer.merged_into_id or decision.customer_id
        found.setdefault(person, set()).add(decision.held_back)
    assert sorted({tuple(each) for each in found.values()}) == [(False,), (True,)]


def test_requests_of_a_new_customer_at_once_make_one_customer_in_one_arm(
    site: Site, key: str
) -> None:
    campaign = start(hold_minutes=0)
    body = {"customer": "ada", "placements": [campaign.placement.key]}

    async def many() -> list[Answer]:
        return await asyncio.gather(*(site.client.post(PATH, body, key=key) for _ in range(20)))

    answers = site.run(many())
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json()["decisions"][0]["arm"] for answer in answers}) == 1
    assert Customer.objects.count() == Exposure.objects.count() == 1
    assert Decision.objects.count() == 20


def test_several_placements_are_decided_in_one_request(site: Site, key: str) -> None:
    one, two = start(), start()
    placements = [one.placement.key, two.placement.key]
    answer = site.post(PATH, {"customer": "ada", "placements": placements}, key=key)
    decisions = answer.json()["decisions"]
    assert [d["placement"] for d in decisions] == placements
    assert [d["campaign"] for d in decisions] == [one.key, two.key]


def test_a_placement_without_a_campaign_answers_nothing(site: Site, key: str) -> None:
    placement = make_placement()
    answer = site.post(PATH, {"customer": "ada", "placements": [placement.key]}, key=key)
    assert answer.status == 200
    assert answer.json() == {
        "decisions": [
            {
                "placement": placement.key,
                "position": 0,
                "decision_id": None,
                "campaign": None,
                "arm": None,
                "offer": None,
                "propensity": None,
                "policy_version": None,
                "reasons": [],
            }
        ],
        "logged": True,
        "degraded": False,
    }
    assert Decision.objects.count() == 0


def in_context(value: bytes) -> bytes:
    """Write a request with a raw value in its context."""
    return b'{"customer": "a", "placements": ["here"], "context": {"x": ' + value + b"}}"


HOSTILE: list[tuple[str, Any, int]] = [
    ("no body", b"", 400),
    ("no JSON", b"{bad", 400),
    ("NaN", in_context(b"NaN"), 400),
    ("Infinity", in_context(b"-Infinity"), 400),
    ("a number out of range", in_context(b"1e999"), 422),
    ("an unknown placement", {"customer": "a", "placements": ["elsewhere"]}, 422),
    ("no placement", {"customer": "a", "placements": []}, 422),
    ("a placement twice", {"customer": "a", "placements": ["here", "here"]}, 422),
    ("too many placements", {"customer": "a", "placements": ["here"] * 21}, 422),
    ("nobody", {"placements": ["here"]}, 422),
    ("two names", {"customer": "a", "anonymous_id": "b", "placements": ["here"]}, 422),
    ("a number as customer", {"customer": 5, "placements": ["here"]}, 422),
    ("an empty customer", {"customer": "", "placements": ["here"]}, 422),
    ("a long customer", {"customer": "a" * 256, "placements": ["here"]}, 422),
    ("a long anonymous id", {"anonymous_id": "a" * 250, "placements": ["here"]}, 422),
    ("NUL in the customer", {"customer": "a\0", "placements": ["here"]}, 400),
    ("a text as placements", {"customer": "a", "placements": "here"}, 422),
    ("a list as context", {"customer": "a", "placements": ["here"], "context": []}, 422),
    ("an unknown field", {"customer": "a", "placements": ["here"], "colour": 1}, 422),
    ("a list", [], 422),
    ("null", b"null", 422),
    ("broken UTF-8", b'{"customer": "\xff", "placements": ["here"]}', 400),
    ("deep nesting", in_context(b"[" * 9000), 400),
    ("two megabytes", b" " * 2_000_000, 413),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE]
)
def test_a_bad_request_gets_a_clear_problem_and_changes_nothing(
    site: Site, key: str, body: Any, status: int
) -> None:
    campaign = start()
    campaign.placement.key = "here"
    campaign.placement.save()
    before = count_rows()
    answer = site.post(PATH, body, key=key)
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert len(answer.json()["detail"]) > 10
    assert count_rows() == before


def test_a_wrong_key_is_refused_and_a_key_for_events_may_not_decide(site: Site) -> None:
    campaign = start()
    _, events_key = make_source(Scope.EVENTS)
    body = {"customer": "ada", "placements": [campaign.placement.key]}
    before = count_rows()
    assert site.post(PATH, body, key="wrong").status == 401
    assert site.post(PATH, body).status == 401
    assert site.post(PATH, body, key=events_key).status == 403
    assert count_rows() == before


def test_odd_context_values_count_as_missing(site: Site, key: str) -> None:
    campaign = start(features=FeatureSpec((CategoryFeature("segment", ("gold",)),)))
    ask(site, campaign, "ada", key=key, segment={"a": [1]}, other=10**400)
    assert Decision.objects.get().features == [1.0, 0.0]


def test_the_ids_of_decisions_sort_by_time(site: Site, key: str) -> None:
    campaign = start(hold_minutes=0)
    ids = [ask(site, campaign, f"c{n}", key=key)["decision_id"] for n in range(10)]
    times = [Decision.objects.get(pk=uuid.UUID(id_)).decided_at for id_ in ids]
    assert times == sorted(times)
    assert np.all(np.diff([uuid.UUID(id_).int >> 80 for id_ in ids]) >= 0)
