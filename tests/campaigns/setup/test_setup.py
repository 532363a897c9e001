"""A marketer sets a campaign up step by step, and somebody else approves it."""

from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from audience.audiences.saving import save_rule
from audience.models import Audience
from campaigns.lifecycle.cloning import clone_campaign
from campaigns.lifecycle.design import describe_campaign
from campaigns.lifecycle.redrafting import find_split
from campaigns.models import Campaign, Offer, Placement, Status
from experiments.models import Metric
from recommender.models import Policy, RewardKind
from recommender.weighing.features import CategoryFeature, FeatureSpec
from tests.makers import (
    DAY,
    NOW,
    make_campaign,
    make_customers,
    make_experiment,
    make_metric,
    make_offer,
    make_placement,
    make_user,
)
from tests.recommender.ranking.shops import make_ranking

pytestmark = pytest.mark.django_db

NO_CAPS: dict[str, Any] = {
    f"cap{row}_{part}": value
    for row in (0, 1)
    for part, value in {"counts": "decision", "per": "customer", "window": "rolling"}.items()
}
SCHEDULE: dict[str, Any] = {
    "priority": 100,
    "hold_minutes": 30,
    "budget_pacing": "fast",
    **NO_CAPS,
}
PROOF: dict[str, Any] = {
    "holdout_percent": 10,
    "control_percent": 20,
    "planned_customers": 1000,
    "minimum_days": 14,
    "reward_window_hours": 24,
    "learns_early": True,
    "kind": "linear_thompson",
}


def log_in(**rights: Any) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(**rights))
    return client


@pytest.fixture
def marketer() -> Client:
    return log_in(is_superuser=True)


@pytest.fixture
def draft() -> Campaign:
    return make_campaign(started_at=None)


def at_step(campaign: Campaign, name: str) -> str:
    return reverse("campaign-setup-step", args=[campaign.key, name])


def errors_of(response: Any) -> dict[str, str]:
    assert response.status_code == HTTPStatus.OK
    return {name: " ".join(said) for name, said in response.context["form"].errors.items()}


def test_a_campaign_goes_from_idea_to_running(marketer: Client) -> None:
    placement, goal = make_placement(), make_metric()
    for plan in ("basic", "basic", "pro", "pro"):
        make_customers(1, attributes={"plan": plan})
    known = make_offer(key="tea")
    idea = {"name": "Spring sale", "placement": placement.pk, "goal": goal.pk}
    response = marketer.post(reverse("campaign-new"), idea)
    campaign = Campaign.objects.get(key="spring-sale")
    assert response["location"] == at_step(campaign, "audience")
    assert campaign.created_by is not None

    audience = save_rule(Audience.objects.create(key="all", name="All"), {})
    response = marketer.post(at_step(campaign, "audience"), {"audience": audience.pk})
    assert response["location"] == at_step(campaign, "offers")
    offers = {
        "offers": [known.pk],
        "fallback": known.pk,
        "new_name": "Free shipping",
        "new_headline": "We bring it",
        "new_cost": "4.90",
    }
    response = marketer.post(at_step(campaign, "offers"), offers)
    assert response["location"] == at_step(campaign, "proof")
    assert Offer.objects.get(key="free-shipping").cost_cents == 490
    response = marketer.post(at_step(campaign, "proof"), {**PROOF, "learns_from": ["plan"]})
    assert response["location"] == at_step(campaign, "schedule")
    limits = {"budget": "50.00", "cap0_limit": 3, "cap0_hours": 24}
    response = marketer.post(at_step(campaign, "schedule"), {**SCHEDULE, **limits})
    assert response["location"] == reverse("campaign-setup", args=[campaign.key])

    campaign.refresh_from_db()
    assert (campaign.audience, campaign.fallback, campaign.budget_cents) == (audience, known, 5000)
    assert [offer.key for offer in campaign.offers.order_by("key")] == ["free-shipping", "tea"]
    assert str(campaign.caps.get()) == "At most 3 given out per customer within 24 hours"
    split = find_split(campaign)
    assert (split.holdout_percent, split.control_percent) == (10, 20)
    assert campaign.experiment.planned_customers == 1000
    assert campaign.policy.reward_window_seconds == 24 * 3600
    features = FeatureSpec.from_json(campaign.policy.features).features
    assert features == (CategoryFeature("plan", ("basic", "pro")),)

    review = reverse("campaign-setup", args=[campaign.key])
    marketer.post(review, {"do": "request", "note": "please"})
    page = log_in(is_superuser=True).post(review, {"do": "approve"}, follow=True)
    assert "Spring sale is approved." in page.content.decode()
    page = marketer.post(review, {"do": "start"}, follow=True)
    assert "Spring sale is running." in page.content.decode()
    campaign.refresh_from_db()
    assert campaign.status == Status.RUNNING
    assert set(campaign.policy.offers) == {"tea", "free-shipping"}


@pytest.mark.parametrize(
    ("step", "sent", "field", "says"),
    [
        ("idea", {"name": "…"}, "name", "at least one letter"),
        ("idea", {"goal": 0}, "goal", "Select a valid choice"),
        ("offers", {}, "__all__", "Choose an offer"),
        ("offers", {"temperature": 0}, "temperature", "greater than or equal"),
        ("offers", {"new_headline": "Hi"}, "new_name", "Name the new offer"),
        ("offers", {"new_name": "Tea"}, "new_headline", "what customers read"),
        ("offers", {"new_name": "Tea", "new_link": "javascript:x()"}, "new_link", "valid URL"),
        ("proof", {"holdout_percent": 0}, "holdout_percent", "greater than or equal to 1"),
        ("proof", {"holdout_percent": 50, "control_percent": 51}, "control_percent", "than 100%"),
        ("proof", {"planned_customers": 5}, "planned_customers", "greater than or equal to 100"),
        ("proof", {"learns_from": ["shoe size"]}, "learns_from", "not one of the available"),
        ("proof", {"reward_window_hours": 0}, "reward_window_hours", "greater than or equal to 1"),
        (
            "schedule",
            {"starts_at": "2026-03-02T12:00", "ends_at": "2026-03-01T12:00"},
            "ends_at",
            "must come after",
        ),
        ("proof", {"margin_percent": 40}, "margin_percent", "adds up what was ordered"),
        ("proof", {"margin_percent": 101}, "margin_percent", "less than or equal to 100"),
        ("proof", {"kind": "roulette"}, "kind", "Select a valid choice"),
        ("schedule", {"budget": "a lot"}, "budget", "Enter a number"),
        ("schedule", {"cap0_limit": 3}, "cap0_hours", "how many last hours"),
        ("schedule", {"cap0_limit": 0, "cap0_hours": 5}, "cap0_limit", "greater than or equal"),
        (
            "schedule",
            {"cap0_limit": 3, "cap0_hours": 5, "cap0_per": "total", "cap0_counts": "event"},
            "cap0_event",
            "which other event",
        ),
        ("schedule", {"budget": "9.00", "budget_pacing": "even"}, "budget_pacing", "needs an"),
        ("schedule", {"budget": "9.00", "budget_pacing": "dual"}, "budget_pacing", "the end, it"),
    ],
)
def test_nonsense_is_refused_in_clear_words(
    marketer: Client, draft: Campaign, step: str, sent: dict[str, Any], field: str, says: str
) -> None:
    usual: dict[str, Any] = {"proof": PROOF, "schedule": SCHEDULE}.get(step, {})
    errors = errors_of(marketer.post(at_step(draft, step), {**usual, **sent}))
    assert says in errors[field]


def test_products_are_shown_instead_of_offers(marketer: Client, draft: Campaign) -> None:
    ranking = make_ranking()
    page = at_step(draft, "offers")
    chosen = {"ranking": ranking.pk, "places": 3, "temperature": 0.5}
    both = marketer.post(page, {**chosen, "offers": [make_offer().pk]})
    assert "Choose offers or products, not both." in both.content.decode()
    assert marketer.post(page, chosen).status_code == HTTPStatus.FOUND
    draft.refresh_from_db()
    policy = draft.policy
    assert (policy.ranking, policy.places, policy.temperature) == (ranking, 3, 0.5)
    assert not draft.choices.exists()
    review = marketer.get(reverse("campaign-setup", args=[draft.key])).content.decode()
    assert "3 products of" in review
    assert "serves no version yet" in review
    assert marketer.post(page, {"offers": [make_offer().pk]}).status_code == HTTPStatus.FOUND
    policy.refresh_from_db()
    assert policy.ranking is None


def test_offers_may_come_by_fixed_shares_alone(marketer: Client, draft: Campaign) -> None:
    fixed = {**PROOF, "holdout_percent": 15, "control_percent": 85}
    marketer.post(at_step(draft, "proof"), fixed)
    arms = draft.experiment.arms.values_list("key", "weight", "is_control")
    assert list(arms) == [("hold-out", 1500, True), ("fixed-shares", 8500, False)]
    page = marketer.get(at_step(draft, "proof")).content.decode()
    assert 'value="85"' in page
    assert find_split(clone_campaign(draft, by=make_user(), now=NOW)) == find_split(draft)
    marketer.post(at_step(draft, "proof"), PROOF)
    arms = draft.experiment.arms.values_list("key", "weight", "is_control")
    assert list(arms) == [
        ("control", 2000, True), ("personalised", 7000, False), ("hold-out", 1000, False)
    ]  # fmt: skip


def test_how_offers_are_chosen_suits_the_goal(marketer: Client, draft: Campaign) -> None:
    chosen = {**PROOF, "kind": "beta_thompson"}
    marketer.post(at_step(draft, "proof"), chosen)
    assert Campaign.objects.get().policy.kind == "beta_thompson"
    draft.policy.reward_kind = RewardKind.SUM
    draft.policy.save()
    errors = errors_of(marketer.post(at_step(draft, "proof"), chosen))
    assert "this one is an amount" in errors["kind"]


def test_a_limit_of_another_event_and_an_even_budget_are_kept(
    marketer: Client, draft: Campaign
) -> None:
    sent = {
        **SCHEDULE,
        "ends_at": "2030-01-01T00:00",
        "budget": "70.00",
        "budget_pacing": "even",
        "cap0_limit": 500,
        "cap0_counts": "event",
        "cap0_event": "Coupon Redeemed",
        "cap0_per": "total",
        "cap0_window": "ever",
    }
    marketer.post(at_step(draft, "schedule"), sent)
    draft.refresh_from_db()
    assert draft.budget == "70.00, spent evenly"
    said = "At most 500 led to another event “Coupon Redeemed” in total"
    assert str(draft.caps.get()) == said
    page = marketer.get(at_step(draft, "schedule")).content.decode()
    assert 'value="Coupon Redeemed"' in page


def test_what_is_sent_is_asked_for_its_hours(marketer: Client) -> None:
    placement = Placement.objects.create(key="mail", name="E-mail", channel="email")
    campaign = make_campaign(started_at=None, placement=placement)
    sent = {
        "enrolment": "once",
        "purpose": "marketing",
        "budget_pacing": "fast",
        "quiet_from": "22:00",
        "quiet_until": "22:00",
        **NO_CAPS,
    }
    errors = errors_of(marketer.post(at_step(campaign, "schedule"), sent))
    assert "another end" in errors["quiet_until"]
    marketer.post(at_step(campaign, "schedule"), {**sent, "quiet_until": "07:00"})
    campaign.refresh_from_db()
    assert campaign.quiet_until is not None
    assert f"{campaign.quiet_until:%H:%M}" == "07:00"


def test_another_goal_changes_what_the_policy_learns(marketer: Client, draft: Campaign) -> None:
    goal = make_metric("Visit")
    sent = {"name": "Renamed", "placement": draft.placement_id, "goal": goal.pk}
    marketer.post(at_step(draft, "idea"), sent)
    draft.refresh_from_db()
    draft.experiment.refresh_from_db()
    assert draft.experiment.name == draft.name == "Renamed"
    assert draft.policy.reward_event == "Visit"
    assert [row.metric for row in draft.experiment.measured.all()] == [goal]


def test_offers_are_chosen_by_what_they_leave(marketer: Client) -> None:
    draft = make_campaign(started_at=None, goal=make_metric(kind="mean"))
    chosen = {**PROOF, "margin_percent": 37.5}
    marketer.post(at_step(draft, "proof"), chosen)
    draft.policy.refresh_from_db()
    assert draft.policy.margin == 0.375
    assert 'value="37.5"' in marketer.get(at_step(draft, "proof")).content.decode()
    assert describe_campaign(draft)["margin"] == 0.375
    assert clone_campaign(draft, by=make_user(), now=NOW).policy.margin == 0.375
    kind = errors_of(marketer.post(at_step(draft, "proof"), {**chosen, "kind": "beta_thompson"}))
    assert "reached or not" in kind["kind"]
    # Of another goal there is nothing to keep.
    goal = make_metric("Visit").pk
    sent = {"name": "Visits", "placement": draft.placement_id, "goal": goal}
    marketer.post(at_step(draft, "idea"), sent)
    draft.policy.refresh_from_db()
    assert draft.policy.margin is None
    assert "margin" not in describe_campaign(Campaign.objects.get(pk=draft.pk))


def test_a_goal_that_teaches_nothing_is_refused(marketer: Client) -> None:
    goal = Metric.objects.create(
        key="ratio",
        name="Ratio",
        kind="ratio",
        params={
            "numerator": {"event": "A", "of": "count"},
            "denominator": {"event": "B", "of": "count"},
        },
    )
    sent = {"name": "Sale", "placement": make_placement().pk, "goal": goal.pk}
    assert "cannot learn" in errors_of(marketer.post(reverse("campaign-new"), sent))["goal"]


def test_a_name_that_is_taken_gets_another_key(marketer: Client) -> None:
    sent = {"name": make_experiment().key, "placement": make_placement().pk}
    marketer.post(reverse("campaign-new"), {**sent, "goal": make_metric().pk})
    assert Campaign.objects.get().key == f"{sent['name']}-2"


def test_the_audience_is_counted_as_it_is_chosen(marketer: Client) -> None:
    make_customers(3, attributes={"country": "de"})
    audience = save_rule(
        Audience.objects.create(key="de", name="Germans"),
        {"all": [{"attribute": "country", "is": "one of", "value": ["de"]}]},
    )
    address = reverse("campaign-count")
    assert "<b>3</b> customers" in marketer.get(address, {"audience": audience.pk}).content.decode()
    for nobody in ("", "0", "x", "9" * 30):
        assert "Everybody" in marketer.get(address, {"audience": nobody}).content.decode()


def test_a_draft_that_is_looked_at_is_not_changed(marketer: Client, draft: Campaign) -> None:
    marketer.post(reverse("campaign-setup", args=[draft.key]), {"do": "request"})
    response = marketer.post(at_step(draft, "idea"), {"name": "Other"})
    assert response["location"] == reverse("campaign-setup", args=[draft.key])
    marketer.post(reverse("campaign-setup", args=[draft.key]), {"do": "reopen"})
    draft.refresh_from_db()
    assert draft.status == Status.DRAFT


def test_what_was_changed_since_it_was_approved_is_shown(marketer: Client, draft: Campaign) -> None:
    address = reverse("campaign-setup", args=[draft.key])
    marketer.post(address, {"do": "request"})
    log_in(is_superuser=True).post(address, {"do": "approve"})
    Campaign.objects.update(budget_cents=1234)
    page = marketer.get(address).content.decode()
    assert "budget cents" in page
    assert "1234" in page


def test_a_campaign_with_a_start_to_come_is_scheduled(marketer: Client) -> None:
    draft = make_campaign(started_at=None, starts_at=NOW + 3650 * DAY)
    address = reverse("campaign-setup", args=[draft.key])
    marketer.post(address, {"do": "request"})
    log_in(is_superuser=True).post(address, {"do": "approve"})
    assert "Schedule</button>" in marketer.get(address).content.decode()
    marketer.post(address, {"do": "schedule"})
    draft.refresh_from_db()
    assert draft.status == Status.SCHEDULED
    page = marketer.get(reverse("campaign-calendar")).content.decode()
    assert draft.name in page


def test_what_waits_for_an_answer_is_listed(marketer: Client, draft: Campaign) -> None:
    address = reverse("campaign-approvals")
    assert draft.name not in marketer.get(address).content.decode()
    marketer.post(reverse("campaign-setup", args=[draft.key]), {"do": "request"})
    assert draft.name in marketer.get(address).content.decode()


def test_who_clicks_twice_on_start_finds_it_running(marketer: Client) -> None:
    campaign = make_campaign()
    address = reverse("campaign-setup", args=[campaign.key])
    for page in (
        marketer.post(address, {"do": "start"}, follow=True),
        marketer.get(at_step(campaign, "offers"), follow=True),
    ):
        assert page.redirect_chain == [(campaign.get_absolute_url(), HTTPStatus.FOUND)]
        assert "is running: it is not set up any more." in page.content.decode()


def test_a_copy_is_a_draft_of_its_own(marketer: Client, draft: Campaign) -> None:
    response = marketer.post(reverse("campaign-setup", args=[draft.key]), {"do": "clone"})
    copy = Campaign.objects.exclude(pk=draft.pk).get()
    assert response["location"] == at_step(copy, "idea")


@pytest.mark.parametrize("act", ["approve", "request", "start", "clone", "nonsense"])
def test_who_may_only_look_changes_nothing(draft: Campaign, act: str) -> None:
    viewer = log_in(is_staff=True)
    user = viewer.session["_auth_user_id"]
    view = Permission.objects.get(codename="view_campaign")
    view.user_set.add(user)
    address = reverse("campaign-setup", args=[draft.key])
    page = viewer.post(address, {"do": act}, follow=True).content.decode()
    assert "You may not do this." in page
    assert Campaign.objects.get().status == Status.DRAFT
    assert viewer.get(at_step(draft, "idea")).status_code == HTTPStatus.FORBIDDEN
    assert viewer.get(reverse("campaign-new")).status_code == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("before", "learns_early", "after"),
    [
        ([], True, []),
        ([600], True, [600]),
        ([600], False, [86_400]),
        ([86_400], False, [86_400]),
        ([86_400], True, []),
    ],
)
def test_a_policy_learns_early_or_not(
    marketer: Client, draft: Campaign, before: list[int], learns_early: bool, after: list[int]
) -> None:
    Policy.objects.filter(pk=draft.policy_id).update(landmarks=before, reward_window_seconds=86_400)
    answers = {**PROOF, "learns_from": []} | ({} if learns_early else {"learns_early": ""})
    marketer.post(at_step(draft, "proof"), answers)
    assert Policy.objects.get(pk=draft.policy_id).landmarks == after


def test_a_fresh_site_says_what_a_campaign_needs_first() -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    page = client.get("/campaigns/new/campaign/").content.decode()
    assert "There is no placement yet" in page
    assert "There is no metric yet" in page
    assert reverse("admin:campaigns_placement_add") in page
    assert "/metrics/new/?next=/campaigns/new/campaign/" in page
    make_placement()
    make_metric()
    assert "There is no" not in client.get("/campaigns/new/campaign/").content.decode()


def test_who_may_not_make_what_is_missing_is_told_to_ask() -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("campaigns.add_campaign"))
    page = client.get("/campaigns/new/campaign/").content.decode()
    assert "Ask somebody who may make one." in page
    assert reverse("admin:campaigns_placement_add") not in page
