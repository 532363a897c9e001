"""What is scarce goes to those of the whole audience with whom it earns most."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from audience.importing.copying import CustomerRow, import_customers
from campaigns.assigning.asking import ask_for_assignment
from campaigns.assigning.deciding import Assigner
from campaigns.assigning.planning import follow_plan
from campaigns.lifecycle.drafting import Split, find_nothing
from campaigns.models import Assigned, Assignment, AssignmentPlan, Campaign, Cap, Counter, Pacing
from campaigns.replaying import replay
from recommender.learning.versions import store_version
from recommender.models import Decision
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from tests.makers import DAY, HOUR, make_campaign, make_offer

pytestmark = pytest.mark.django_db(transaction=True)

FEATURES = FeatureSpec((NumberFeature("keen", 0.0, 1.0),))
AUDIENCE = 600


def make_audience(n: int = AUDIENCE) -> None:
    """Make customers, the keener the later they were made."""
    import_customers(
        CustomerRow(f"customer-{number:05d}", {"keen": number / n}) for number in range(n)
    )


def open_campaign(**plan: Any) -> Campaign:
    """Start a campaign whose gift costs 1.00 and earns 1 and as much again as somebody is keen."""
    offers = plan.pop("offers", None) or [make_offer(key="gift", cost_cents=100), find_nothing()]
    values: dict[str, Any] = {
        "offers": offers,
        "split": Split(1, 1),
        "features": FEATURES,
        "started_at": timezone.now() - HOUR,
        "budget_cents": 10_000,
    }
    campaign = make_campaign(**values | plan)
    campaign.policy.refresh_from_db()
    publish(campaign)
    return campaign


def publish(campaign: Campaign, *, version: int = 1) -> None:
    policy = campaign.policy
    mean = {"gift": [1.0, 1.0], "nothing": [0.0, 0.0]}
    odds = Odds(
        offers=tuple(policy.offers),
        mean=np.array([mean[key] for key in policy.offers]),
        factor=np.tile(1e-3 * np.eye(2), (2, 1, 1)),
        floor=1e-3,
        features=FEATURES,
        version=version,
    )
    store_version(policy, odds, learned_from=100, now=timezone.now())


def assign(campaign: Campaign, *, until: int | None = None) -> Assignment:
    assignment = ask_for_assignment(campaign, by=None, now=timezone.now())
    return go_on(assignment, until=until)


def go_on(assignment: Assignment, *, until: int | None = None) -> Assignment:
    done = 0
    with Assigner() as assigner:
        while (count := assigner.assign_some(assignment)) is not None:
            done += count
            if until is not None and done >= until:
                break
    assignment.refresh_from_db()
    return assignment


def keenness(offer: str) -> list[float]:
    rows = Assigned.objects.filter(arm="personalised", offer=offer)
    return [float(value) for value in rows.values_list("customer__attributes__keen", flat=True)]


def test_the_keenest_get_it_though_their_turn_is_last() -> None:
    make_audience()
    campaign = open_campaign()
    assign(campaign)
    spent = Counter.objects.get(name=f"budget:{campaign.key}").used
    assert 9_000 <= spent <= 10_000
    assert sum(Decision.objects.values_list("cost_cents", flat=True)) == spent
    gifts, others = keenness("gift"), keenness("nothing")
    assert 80 <= len(gifts) <= 100
    # The keenest sixth; the floor gives to a few others.
    assert np.median(gifts) > 0.85 > np.quantile(others, 0.95)
    assert AssignmentPlan.objects.filter(temperature__isnull=False).exists()


def test_every_planned_draw_can_be_made_again() -> None:
    make_audience()
    campaign = open_campaign(held_back_share=0.3, floor=0.05)
    assign(campaign)
    planned = Decision.objects.filter(arm="personalised")
    assert {reason for decision in planned for reason in decision.reasons} >= {
        f"drawn by plan {plan.pk}" for plan in AssignmentPlan.objects.all()
    }
    assert all(replay(decision.pk).is_confirmed for decision in planned.order_by("pk")[::8])
    assert planned.filter(held_back=True).exists()


def test_it_is_planned_again_for_what_is_left_when_half_are_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("campaigns.assigning.planning.LEAST", 100)
    make_audience()
    assign(open_campaign())
    assert list(AssignmentPlan.objects.order_by("pk").values_list("customers", flat=True)) == [
        600,
        100,
    ]


def test_a_version_that_comes_meanwhile_waits_and_one_that_is_gone_is_planned_without() -> None:
    make_audience()
    campaign = open_campaign()
    assignment = assign(campaign, until=250)
    publish(campaign, version=2)
    with Assigner() as assigner:
        assigner.assign_some(assignment)
    assert set(AssignmentPlan.objects.values_list("version", flat=True)) == {1}
    campaign.policy.versions.filter(number=1).delete()
    Assignment.objects.update(done=300, total=700)
    assigner = Assigner()
    with assigner:
        assigner.refresh()
        running = assigner.find(campaign.key)
        assert running is not None
        followed = follow_plan(assignment, running, now=timezone.now(), zone=assigner.snapshot.zone)
    assert followed.policy.version == 2
    assert AssignmentPlan.objects.latest().version == 2


@pytest.mark.parametrize(
    "values", [{"budget_cents": 10_000_000}, {"budget_cents": None}, {"split": Split(50, 50)}]
)
def test_where_nothing_is_scarce_the_policy_chooses_as_on_the_site(values: dict[str, Any]) -> None:
    make_audience(260)
    assign(open_campaign(**values))
    assert not AssignmentPlan.objects.filter(temperature__isnull=False).exists()
    decisions = Decision.objects.filter(arm="personalised")
    assert not any("plan" in reason for d in decisions for reason in d.reasons)


@pytest.mark.parametrize("is_own", [True, False])
def test_an_offer_that_is_limited_in_total_goes_to_the_keenest(*, is_own: bool) -> None:
    make_audience()
    gift = make_offer(key="gift", cap_total=60 if is_own else None)
    if not is_own:
        Cap.objects.create(offer=gift, limit=60, is_per_customer=False, window="ever")
    assign(open_campaign(budget_cents=None, offers=[gift, find_nothing()]))
    # The arms' shares are by chance, and so is what the control gives out.
    assert 45 <= Assigned.objects.filter(offer="gift").count() <= 60
    assert np.median(keenness("gift")) > 0.9


def test_of_a_budget_that_is_spent_evenly_only_what_may_be_spent_by_now_is_divided() -> None:
    make_audience()
    campaign = open_campaign(
        budget_pacing=Pacing.EVEN,
        started_at=timezone.now() - 5 * DAY,
        ends_at=timezone.now() + timedelta(days=5),
    )
    assign(campaign)
    spent = Counter.objects.get(name=f"budget:{campaign.key}").used
    assert 4_300 <= spent <= 5_100
