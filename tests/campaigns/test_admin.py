"""A marketer drafts, starts, pauses and finishes a campaign in the admin."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from campaigns.models import Campaign, Counter, Offer, Placement, Status
from recommender.models import Policy
from tests.makers import NOW, make_campaign, make_offer, make_placement, make_user

pytestmark = pytest.mark.django_db

Queries = Callable[[int], AbstractContextManager[Any]]


@pytest.fixture
def admin() -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    return client


def edit(admin: Client, campaign: Campaign, **changes: Any) -> None:
    """Save the campaign's form in the admin with these changes."""
    choices = list(campaign.choices.all())
    values: dict[str, Any] = {
        "name": campaign.name,
        "placement": campaign.placement_id,
        "priority": 100,
        "hold_minutes": 30,
        "budget_pacing": "fast",
        "choices-TOTAL_FORMS": len(choices),
        "choices-INITIAL_FORMS": len(choices),
    }
    for index, choice in enumerate(choices):
        values[f"choices-{index}-id"] = choice.pk
        values[f"choices-{index}-offer"] = choice.offer_id
        values[f"choices-{index}-baseline_weight"] = 1
        values[f"choices-{index}-position"] = index
    address = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    assert admin.post(address, values | changes).status_code == HTTPStatus.FOUND


def test_a_new_campaign_is_set_up_on_its_pages(admin: Client) -> None:
    response = admin.get(reverse("admin:campaigns_campaign_add"))
    assert response["location"] == reverse("campaign-new")


def test_a_campaign_is_paused_started_again_and_finished_through_its_pages(admin: Client) -> None:
    campaign = make_campaign()
    for verb, status in (
        ("pause", Status.PAUSED),
        ("start", Status.RUNNING),
        ("finish", Status.FINISHED),
    ):
        address = reverse("campaign-step", args=[campaign.key, verb])
        assert f"{verb.capitalize()} “{campaign.name}”?" in admin.get(address).content.decode()
        admin.post(address, {"reason": f"time to {verb}"})
        campaign.refresh_from_db()
        assert campaign.status == status
    reasons = set(campaign.experiment.changes.values_list("reason", flat=True))
    assert reasons >= {"time to start", "time to pause", "time to finish"}


def test_nobody_starts_on_that_page_what_was_not_approved(admin: Client) -> None:
    campaign = make_campaign(started_at=None)
    address = reverse("campaign-step", args=[campaign.key, "start"])
    page = admin.post(address, follow=True).content.decode()
    assert "Somebody else has to approve it first." in page
    campaign.refresh_from_db()
    assert campaign.status == Status.DRAFT


def test_an_edited_draft_tells_its_policy_the_offers(admin: Client) -> None:
    campaign = make_campaign(started_at=None)
    choice = campaign.choices.first()
    assert choice is not None
    added = make_offer()
    admin.post(
        reverse("admin:campaigns_campaign_change", args=[campaign.pk]),
        {
            "name": "Renamed",
            "placement": campaign.placement_id,
            "priority": 5,
            "hold_minutes": 30,
            "budget_pacing": "fast",
            "choices-TOTAL_FORMS": 2,
            "choices-INITIAL_FORMS": 1,
            "choices-0-id": choice.pk,
            "choices-0-offer": choice.offer_id,
            "choices-0-baseline_weight": 1,
            "choices-0-position": 0,
            "choices-1-offer": added.pk,
            "choices-1-baseline_weight": 1,
            "choices-1-position": 5,
        },
    )
    campaign.refresh_from_db()
    assert (campaign.name, campaign.priority) == ("Renamed", 5)
    assert added.key in Policy.objects.get(pk=campaign.policy_id).offers


@pytest.mark.parametrize(
    ("status", "offered"),
    [
        (Status.DRAFT, {"Set up"}),
        (Status.RUNNING, {"Pause…", "Finish…"}),
        (Status.PAUSED, {"Start again…", "Finish…"}),
    ],
)
def test_the_page_offers_only_the_steps_that_can_be_taken(
    admin: Client, status: Status, offered: set[str]
) -> None:
    campaign = make_campaign()
    Campaign.objects.update(status=status)
    address = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    page = admin.get(address).content.decode()
    assert {s for s in ("Set up", "Start again…", "Pause…", "Finish…") if s in page} == offered


@pytest.mark.parametrize("verb", ["start", "pause", "finish"])
def test_an_action_leads_to_its_page_and_changes_nothing(admin: Client, verb: str) -> None:
    campaign = make_campaign()
    before = Status.PAUSED if verb == "start" else Status.RUNNING
    Campaign.objects.update(status=before)
    response = admin.get(reverse(f"admin:campaigns_campaign_{verb}", args=[campaign.pk]))
    assert response["location"] == reverse("campaign-step", args=[campaign.key, verb])
    assert Campaign.objects.get().status == before


def test_what_is_edited_has_to_be_approved_again(admin: Client) -> None:
    campaign = make_campaign(started_at=None)
    Campaign.objects.update(status=Status.APPROVED)
    edit(admin, campaign, name="Renamed")
    campaign.refresh_from_db()
    assert (campaign.name, campaign.status) == ("Renamed", Status.DRAFT)


def test_whom_and_where_a_running_campaign_is_for_stays(admin: Client) -> None:
    campaign = make_campaign()
    edit(admin, campaign, placement=make_placement().pk, priority=7)
    before, placement = campaign.priority, campaign.placement
    campaign.refresh_from_db()
    assert (before, campaign.priority, campaign.placement) == (100, 7, placement)


@pytest.mark.parametrize(("other", "said"), [("USD", "USD"), ("EUR", "")])
def test_a_budget_and_what_is_spent_are_in_the_currency_of_the_offers(
    admin: Client, other: str, said: str
) -> None:
    """Offers that cost nothing have no say; what costs in two currencies is said in none."""
    offers = [
        make_offer(cost_cents=100, currency="USD"),
        make_offer(cost_cents=200, currency=other),
        make_offer(currency="GBP"),
    ]
    campaign = make_campaign(offers=offers)
    campaign.budget_cents = 500_000
    Counter.objects.create(name=f"budget:{campaign.key}", used=123_456)
    page = admin.get(reverse("admin:campaigns_campaign_change", args=[campaign.pk]))
    spent = re.search(r"1,234\.56[ A-Z]*", page.content.decode())
    assert spent is not None
    assert spent[0].strip() == f"1,234.56 {said}".strip()
    assert campaign.budget == f"5,000.00 {said}".strip()


def test_the_report_action_leads_to_the_report(admin: Client) -> None:
    campaign = make_campaign()
    response = admin.get(reverse("admin:campaigns_campaign_open_report", args=[campaign.pk]))
    assert response["location"] == campaign.get_absolute_url()


def test_campaigns_are_finished_and_never_deleted(admin: Client) -> None:
    address = reverse("admin:campaigns_campaign_delete", args=[make_campaign().pk])
    assert admin.post(address, {"post": "yes"}).status_code == HTTPStatus.FORBIDDEN


def test_the_list_takes_as_many_queries_for_ten_campaigns_as_for_one(
    admin: Client, django_assert_max_num_queries: Queries
) -> None:
    for _ in range(10):
        make_campaign()
    with django_assert_max_num_queries(13):
        page = admin.get(reverse("admin:campaigns_campaign_changelist")).content.decode()
    assert page.count("Open report") == 10


def test_placements_and_offers_are_made_by_their_forms(admin: Client) -> None:
    placement = {"name": "Cart", "key": "cart", "channel": "onsite"}
    admin.post(reverse("admin:campaigns_placement_add"), placement)
    assert Placement.objects.get().key == "cart"
    offer = {
        "name": "Tea",
        "key": "tea",
        "value_cents": 1250,
        "cost_cents": 100,
        "currency": "EUR",
        "is_active": "on",
        "cap_total": 100,
        "cap_per_customer": "",
        "cap_days": 30,
        "contents-TOTAL_FORMS": 0,
        "contents-INITIAL_FORMS": 0,
        "caps-TOTAL_FORMS": 0,
        "caps-INITIAL_FORMS": 0,
        "uncounted": "hide",
        "priority": 100,
    }
    admin.post(reverse("admin:campaigns_offer_add"), offer)
    made = Offer.objects.get()
    assert (made.cap_total, made.cap_per_customer) == (100, None)
    assert "11.50 EUR" in admin.get(reverse("admin:campaigns_offer_changelist")).content.decode()
    change = reverse("admin:campaigns_offer_change", args=[made.pk])
    Counter.objects.create(name="offer:tea", used=1234)
    assert "1,234" in admin.get(change).content.decode()
    admin.post(change, offer | {"name": "Green tea", "key": "green-tea"})
    made.refresh_from_db()
    assert (made.name, made.key) == ("Green tea", "tea")


@pytest.mark.parametrize(("is_approver", "is_live"), [(False, True), (True, True), (False, False)])
def test_what_was_approved_of_an_offer_is_not_changed_by_one_person(
    is_approver: bool, is_live: bool
) -> None:
    campaign = make_campaign(started_at=NOW if is_live else None)
    offer = campaign.offers.first()
    assert offer is not None
    rights = [f"campaigns.{verb}_offer" for verb in ("view", "change")]
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*rights, *(["campaigns.approve_campaign"] * is_approver)))
    address = reverse("admin:campaigns_offer_change", args=[offer.pk])
    page = client.get(address).content.decode()
    may_write = is_approver or not is_live
    assert ('name="headline"' in page) is may_write
    assert 'name="is_active"' in page


@pytest.mark.parametrize("is_approver", [False, True])
def test_nobody_adds_an_offer_by_oneself_to_a_campaign_that_runs(is_approver: bool) -> None:
    rights = [
        f"campaigns.{verb}_{model}"
        for verb in ("view", "add", "change")
        for model in ("campaign", "campaignoffer")
    ]
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*rights, *(["campaigns.approve_campaign"] * is_approver)))
    page = client.get(reverse("admin:campaigns_campaign_change", args=[make_campaign().pk]))
    assert ("choices-__prefix__-offer" in page.content.decode()) is is_approver
