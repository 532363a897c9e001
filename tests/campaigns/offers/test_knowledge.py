"""What a marketer writes of an offer comes to the policies that choose it."""

from http import HTTPStatus
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from audience.models import AuditEntry
from campaigns.lifecycle.design import describe_campaign
from campaigns.lifecycle.drafting import find_nothing
from campaigns.lifecycle.reviewing import answer_review, request_review
from campaigns.lifecycle.status import start_campaign, tell_policy_its_offers
from campaigns.models import Campaign, Offer, Status
from campaigns.offers.forms import FactsField
from campaigns.offers.knowledge import facts_of
from recommender.learning.learn import learn_batch
from recommender.models import Policy, PolicyVersion
from recommender.weighing.odds import Odds
from recommender.weighing.offer_facts import FactEffect
from tests.makers import (
    DAY,
    NOW,
    event_row,
    log_all,
    logged,
    make_campaign,
    make_customers,
    make_events,
    make_offer,
    make_user,
)

pytestmark = pytest.mark.django_db

SHOWN = "Which offers do well?"


def browse(*permissions: str, **account: bool) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*permissions, **account))
    return client


def save(client: Client, offer: Offer, **changes: Any) -> Any:
    """Save the offer's form in the admin with these changes."""
    values: dict[str, Any] = {
        "name": offer.name,
        "headline": offer.headline,
        "value_cents": offer.value_cents,
        "cost_cents": offer.cost_cents,
        "currency": offer.currency,
        "is_active": True,
        "priority": 100,
        "cap_days": 30,
        "uncounted": "hide",
        "contents-TOTAL_FORMS": 0,
        "contents-INITIAL_FORMS": 0,
        "caps-TOTAL_FORMS": 0,
        "caps-INITIAL_FORMS": 0,
    }
    return client.post(reverse("admin:campaigns_offer_change", args=[offer.pk]), values | changes)


def test_facts_are_read_from_lines_and_written_as_such() -> None:
    field = FactsField()
    facts = field.clean("discount: 20%\n\n kind:  free shipping \nratio: -0.5\nlink: a:b")
    assert facts == {"discount": 20.0, "kind": "free shipping", "ratio": -0.5, "link": "a:b"}
    written = "discount: 20\nkind: free shipping\nlink: a:b\nratio: -0.5"
    assert field.prepare_value(facts) == written
    assert field.clean(written) == facts
    assert field.clean("") == {}
    assert not field.has_changed(facts, written)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("discount 20", "“discount 20” is not understood. Write it as in “discount: 20”."),
        (": 20", "“: 20” is not understood"),
        ("discount:", "“discount:” is not understood"),
        ("discount: 20\nDiscount: 30", "“discount” is said twice"),
        ("discount: 20\ndiscount: 30", "A fact is said twice."),
        ("kind: " + "x" * 61, "“kind” needs a number, or words of 1 to 60 letters."),
        ("\n".join(f"fact {i}: 1" for i in range(13)), "Write 12 facts at most, not 13."),
    ],
)
def test_lines_that_say_no_fact_are_refused_in_words(lines: str, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        FactsField().clean(lines)
    assert says in refused.value.messages[0]


def test_an_offer_is_saved_with_its_facts_and_its_policies_know() -> None:
    offer = make_offer(cost_cents=250, value_cents=1000)
    campaign = make_campaign(offers=[offer, make_offer()])
    other = make_campaign()
    admin = browse(is_superuser=True)
    assert save(admin, offer, facts="discount: 20\nkind: gift").status_code == HTTPStatus.FOUND
    offer.refresh_from_db()
    assert offer.facts == {"discount": 20.0, "kind": "gift"}
    campaign.policy.refresh_from_db()
    known = {"discount": 20.0, "kind": "gift", "cost in EUR": 2.5, "value in EUR": 10.0}
    assert campaign.policy.offer_facts[offer.key] == known
    assert offer.key not in Policy.objects.get(pk=other.policy_id).offer_facts
    page = admin.get(reverse("admin:campaigns_offer_change", args=[offer.pk])).content.decode()
    assert "discount: 20\nkind: gift</textarea>" in page
    # Who changed it, and what it said before, is among the recorded changes.
    entry = AuditEntry.objects.filter(table="campaigns_offer").latest("pk")
    assert entry.after is not None
    assert entry.after["facts"] == offer.facts


def test_lines_that_are_not_understood_come_back_as_they_were() -> None:
    offer = make_offer()
    response = save(browse(is_superuser=True), offer, facts="twenty off")
    assert response.status_code == HTTPStatus.OK
    page = response.content.decode()
    assert "is not understood" in page
    assert "twenty off</textarea>" in page


def test_a_started_campaign_tells_its_policy_what_is_known_of_its_offers() -> None:
    offers = [make_offer(facts={"kind": "gift"}), make_offer(cost_cents=100)]
    campaign = make_campaign(offers=[*offers, find_nothing()])
    campaign.policy.refresh_from_db()
    assert campaign.policy.offer_facts == {
        offers[0].key: {"kind": "gift", "cost in EUR": 0.0, "value in EUR": 0.0},
        offers[1].key: {"cost in EUR": 1.0, "value in EUR": 0.0},
        "nothing": {},
    }


def test_of_nothing_there_is_nothing_to_know() -> None:
    assert facts_of(find_nothing()) == {}


def test_what_somebody_writes_goes_before_the_record() -> None:
    assert facts_of(make_offer(cost_cents=100, facts={"cost in EUR": 3.0}))["cost in EUR"] == 3.0


def test_facts_are_part_of_what_is_approved_and_only_where_there_are_any() -> None:
    ann, bob = make_user(), make_user()
    offer = make_offer()
    campaign = make_campaign(offers=[offer, make_offer()], started_at=None)
    assert "facts" not in describe_campaign(campaign)["offers"][offer.key]
    request_review(campaign, by=ann, now=NOW)
    answer_review(campaign, by=bob, now=NOW, is_approved=True)
    Offer.objects.filter(pk=offer.pk).update(facts={"kind": "gift"})
    assert describe_campaign(campaign)["offers"][offer.key]["facts"] == {"kind": "gift"}
    with pytest.raises(ValidationError, match="changed since it was approved"):
        start_campaign(campaign, by=ann, now=NOW)


def test_only_an_approver_changes_facts_of_an_offer_that_is_out() -> None:
    offer = make_offer(facts={"kind": "gift"})
    make_campaign(offers=[offer, make_offer()])
    rights = ("campaigns.view_offer", "campaigns.change_offer")
    save(browse(*rights), offer, facts="kind: price off")
    offer.refresh_from_db()
    assert offer.facts == {"kind": "gift"}
    save(browse(*rights, "campaigns.approve_campaign"), offer, facts="kind: price off")
    offer.refresh_from_db()
    assert offer.facts == {"kind": "price off"}


def test_a_new_offer_of_the_set_up_has_facts() -> None:
    campaign = make_campaign(started_at=None)
    response = browse(is_superuser=True).post(
        reverse("campaign-setup-step", args=[campaign.key, "offers"]),
        {
            "new_name": "Free shipping",
            "new_headline": "We bring it",
            "new_facts": "kind: free shipping\ndays: 2",
        },
    )
    assert response.status_code == HTTPStatus.FOUND
    assert Offer.objects.get(key="free-shipping").facts == {"kind": "free shipping", "days": 2.0}


def run_campaign() -> tuple[Campaign, list[Offer]]:
    """Run one whose gifts sell, learn, and add an offer of either kind."""
    offers = [
        make_offer(facts={"kind": "gift" if index % 2 else "price off"}) for index in range(10)
    ]
    campaign = make_campaign(offers=offers, bandit="randomised_ucb", reward_window_seconds=3600)
    decisions, events = [], []
    policy = Policy.objects.get(pk=campaign.policy_id)
    goal = policy.reward_event
    for index, customer in enumerate(make_customers(600)):
        decisions.append(
            logged(policy, customer, offers[index % 10].key, at=NOW, campaign=campaign.key)
        )
        if (index // 10) % 10 < (3 if index % 2 else 1):
            events.append(event_row(customer, goal, at=NOW))
    log_all(decisions)
    make_events(events)
    learn_batch(policy.pk, now=NOW + 30 * DAY)
    return campaign, offers


def test_the_report_and_the_version_say_what_facts_taught() -> None:
    campaign, _ = run_campaign()
    admin = browse(is_superuser=True)
    page = admin.get(reverse("campaign-report", args=[campaign.key])).content.decode()
    assert SHOWN in page
    assert "<td>gift</td>" in page
    assert "points" in page
    version = PolicyVersion.objects.get(policy=campaign.policy)
    address = reverse("admin:recommender_policyversion_change", args=[version.pk])
    assert "kind: gift: +0.0" in admin.get(address).content.decode()


def test_an_offer_that_comes_later_starts_from_what_is_known_of_it() -> None:
    campaign, _ = run_campaign()
    late = [make_offer(facts={"kind": kind}) for kind in ("gift", "price off")]
    for position, offer in enumerate(late, start=20):
        campaign.choices.create(offer=offer, position=position)
    campaign.refresh_from_db()
    assert campaign.status == Status.RUNNING
    tell_policy_its_offers(campaign)
    policy = Policy.objects.get(pk=campaign.policy_id)
    customer = make_customers(1)[0]
    log_all([logged(policy, customer, policy.offers[0], at=NOW + DAY, campaign=campaign.key)])
    learn_batch(policy.pk, now=NOW + 60 * DAY)
    version = policy.versions.first()
    assert version is not None
    odds = Odds.from_bytes(bytes(version.odds))
    gift, cut = (float(odds.mean[odds.places[offer.key], 0]) for offer in late)
    assert gift > cut + 0.1


def test_where_nothing_is_known_the_report_says_nothing_of_it() -> None:
    campaign = make_campaign()
    page = browse(is_superuser=True).get(reverse("campaign-report", args=[campaign.key]))
    assert SHOWN not in page.content.decode()


def test_words_of_facts_are_escaped() -> None:
    campaign, _ = run_campaign()
    version = PolicyVersion.objects.get(policy=campaign.policy)
    odds = Odds.from_bytes(bytes(version.odds))
    hostile = FactEffect("<script>", "<b>", 0.1, -0.1, 0.3)
    version.odds = type(odds)(**(odds.given() | {"taught": (hostile,)})).to_bytes()
    version.save()
    admin = browse(is_superuser=True)
    for address in (
        reverse("campaign-report", args=[campaign.key]),
        reverse("admin:recommender_policyversion_change", args=[version.pk]),
    ):
        page = admin.get(address).content.decode()
        assert "&lt;script&gt;" in page
        assert "<script>:" not in page
        assert "<td><b></td>" not in page
