"""A marketer drafts, starts, pauses and finishes a campaign in the admin."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from campaigns.models import Campaign, Counter, Offer, Placement, Status
from recommender.features import CategoryFeature, FeatureSpec
from recommender.models import Policy
from tests.makers import (
    make_campaign,
    make_customers,
    make_experiment,
    make_metric,
    make_offer,
    make_placement,
    make_user,
)

pytestmark = pytest.mark.django_db

Queries = Callable[[int], AbstractContextManager[Any]]
ADD = "admin:campaigns_campaign_add"


@pytest.fixture
def admin() -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    return client


def filled_in(**changes: Any) -> dict[str, Any]:
    """Fill in the form of a new campaign with two offers."""
    values: dict[str, Any] = {
        "name": "Spring sale",
        "key": "spring-sale",
        "placement": make_placement().pk,
        "goal": make_metric().pk,
        "planned_customers": 1000,
        "minimum_days": 14,
        "holdout_percent": 10,
        "control_percent": 20,
        "reward_window_hours": 24,
        "priority": 100,
        "hold_minutes": 30,
        "choices-TOTAL_FORMS": 2,
        "choices-INITIAL_FORMS": 0,
    }
    for index in range(2):
        values[f"choices-{index}-offer"] = make_offer(key=f"offer-{index}").pk
        values[f"choices-{index}-baseline_weight"] = 1
        values[f"choices-{index}-position"] = index
    return values | changes


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == HTTPStatus.OK
    errors: dict[str, list[str]] = response.context["adminform"].form.errors
    return errors


def test_the_form_drafts_a_campaign_with_experiment_policy_and_offers(admin: Client) -> None:
    for plan in ("basic", "basic", "pro", "pro"):
        make_customers(1, attributes={"plan": plan})
    fallback = make_offer(key="plain")
    limits = {"budget_cents": 5000, "fallback": fallback.pk}
    response = admin.post(reverse(ADD), filled_in(learns_from=["plan"], **limits))
    assert response.status_code == HTTPStatus.FOUND
    campaign = Campaign.objects.get(key="spring-sale")
    assert (campaign.budget_cents, campaign.fallback) == (5000, fallback)
    assert campaign.status == Status.DRAFT
    assert campaign.experiment.planned_customers == 1000
    assert campaign.experiment.minimum_days == 14
    assert {arm.key: arm.weight for arm in campaign.experiment.arms.all()} == {
        "control": 2000,
        "personalised": 7000,
        "hold-out": 1000,
    }
    assert campaign.policy.offers == ["offer-0", "offer-1"]
    assert campaign.policy.reward_window_seconds == 24 * 3600
    features = FeatureSpec.from_json(campaign.policy.features).features
    assert features == (CategoryFeature("plan", ("basic", "pro")),)


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"holdout_percent": 0}, "holdout_percent", "greater than or equal to 1"),
        ({"holdout_percent": ""}, "holdout_percent", "required"),
        ({"holdout_percent": 50, "control_percent": 50}, "control_percent", "at least 1% each"),
        ({"planned_customers": 5}, "planned_customers", "greater than or equal to 100"),
        ({"goal": 0}, "goal", "Select a valid choice"),
        ({"key": "no spaces"}, "key", "valid “slug”"),
        ({"learns_from": ["shoe size"]}, "learns_from", "not one of the available choices"),
        ({"reward_window_hours": 0}, "reward_window_hours", "greater than or equal to 1"),
        (
            {
                "starts_at_0": "2026-03-02",
                "starts_at_1": "12:00",
                "ends_at_0": "2026-03-01",
                "ends_at_1": "12:00",
            },
            "__all__",
            "The end must come after the start.",
        ),
    ],
)
def test_nonsense_is_refused_in_clear_words(
    admin: Client, changes: dict[str, Any], field: str, says: str
) -> None:
    errors = errors_of(admin.post(reverse(ADD), filled_in(**changes)))
    assert says in " ".join(errors[field])
    assert not Campaign.objects.exists()


def test_a_key_that_an_experiment_has_is_refused(admin: Client) -> None:
    taken = make_experiment().key
    errors = errors_of(admin.post(reverse(ADD), filled_in(key=taken)))
    assert "already" in " ".join(errors["key"])


def test_more_than_a_policy_can_look_at_is_refused(admin: Client) -> None:
    names = [f"number {i}" for i in range(130)]
    for value in (1, 2):
        make_customers(1, attributes=dict.fromkeys(names, value))
    errors = errors_of(admin.post(reverse(ADD), filled_in(learns_from=names)))
    assert "128 is the most" in " ".join(errors["learns_from"])


def test_a_longer_key_than_fits_is_refused(admin: Client) -> None:
    errors = errors_of(admin.post(reverse(ADD), filled_in(key="k" * 61)))
    assert "60" in " ".join(errors["key"])
    assert admin.post(reverse(ADD), filled_in_again("k" * 60)).status_code == HTTPStatus.FOUND


def filled_in_again(key: str) -> dict[str, Any]:
    Offer.objects.all().delete()
    return filled_in(key=key)


def test_a_campaign_is_started_paused_and_finished_through_its_pages(admin: Client) -> None:
    campaign = make_campaign(started_at=None)
    for verb, status in (
        ("start", Status.RUNNING),
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
    assert reasons == {"time to start", "time to pause", "time to finish"}


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


def test_the_page_offers_only_the_steps_that_can_be_taken(admin: Client) -> None:
    campaign = make_campaign(started_at=None)
    address = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    page = admin.get(address).content.decode()
    assert "Start…" in page
    assert "Pause…" not in page
    assert "Finish…" not in page


@pytest.mark.parametrize("verb", ["start", "pause", "finish"])
def test_an_action_leads_to_its_page_and_changes_nothing(admin: Client, verb: str) -> None:
    campaign = make_campaign(started_at=None)
    if verb != "start":
        admin.post(reverse("campaign-step", args=[campaign.key, "start"]))
    before = Campaign.objects.get().status
    response = admin.get(reverse(f"admin:campaigns_campaign_{verb}", args=[campaign.pk]))
    assert response["location"] == reverse("campaign-step", args=[campaign.key, verb])
    assert Campaign.objects.get().status == before


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
        "uncounted": "hide",
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
