"""Draft a campaign with its experiment and its policy, from what a marketer settles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from audience.models import Audience
from audience.naming import free_key, to_stem
from campaigns.deciding.snapshot import Serves
from campaigns.models import Campaign, CampaignOffer, Offer, Pacing, Placement
from experiments.assigning.assignment import BUCKETS
from experiments.lifecycle.drafting import ArmPlan, plan_experiment
from experiments.metrics import METRICS
from experiments.metrics.base import read_params
from experiments.metrics.columns import Events, Total
from experiments.models import Experiment, Metric
from recommender.models import Policy, Ranking, RewardKind
from recommender.weighing.features import FeatureSpec

DEFAULT_BANDIT = "randomised_ucb"
# The arm of a campaign without a policy, whose control is the hold-out.
FIXED = "fixed-shares"
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Split:
    """How customers are divided, in whole per cent; the rest gets the learning policy.

    Where nothing is left, offers come by fixed shares alone, and are compared with no offer.
    """

    holdout_percent: int = 10
    control_percent: int = 20

    def to_arms(self) -> list[ArmPlan]:
        """Plan the arms.

        The control arm, not the hold-out, is what the policy is compared with: both get offers,
        and what differs is who chooses them.

        Raises:
            ValidationError: An arm that proves something would be empty, or it is more than all.
        """
        policy_percent = 100 - self.holdout_percent - self.control_percent
        if self.holdout_percent < 1 or self.control_percent < 1:
            raise ValidationError("The hold-out and the control need at least 1% each.")
        if policy_percent < 0:
            raise ValidationError("The hold-out and the control are more than 100% together.")
        held_out, fixed = (
            percent * BUCKETS // 100 for percent in (self.holdout_percent, self.control_percent)
        )
        if policy_percent == 0:
            return [
                _arm("hold-out", "Hold-out", held_out, Serves.NOTHING, is_control=True),
                _arm(FIXED, "Fixed shares", fixed, Serves.BASELINE),
            ]
        return [
            _arm("control", "Control", fixed, Serves.BASELINE, is_control=True),
            _arm("personalised", "Personalised", BUCKETS - held_out - fixed, Serves.POLICY),
            _arm("hold-out", "Hold-out", held_out, Serves.NOTHING),
        ]


def _arm(key: str, name: str, weight: int, serves: Serves, *, is_control: bool = False) -> ArmPlan:
    return ArmPlan(key, name, weight, is_control=is_control, payload={"serves": serves.value})


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """What a marketer settles about a campaign.

    `seed` decides who falls into which arm. Only a simulation that is to be repeated sets it:
    campaigns that share one share their arms.
    """

    key: str
    name: str
    placement: Placement
    goal: Metric
    planned_customers: int
    minimum_days: int = 7
    others: Sequence[Metric] = ()
    split: Split = field(default_factory=Split)
    features: FeatureSpec = field(default_factory=lambda: FeatureSpec(()))
    reward_window_seconds: int = 3 * 86_400
    held_back_share: float = 0.0
    floor: float = 0.01
    priority: int = 100
    hold_minutes: int = 30
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    budget_cents: int | None = None
    budget_pacing: Pacing = Pacing.FAST
    fallback: Offer | None = None
    audience: Audience | None = None
    created_by: User | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    landmarks: Sequence[int] = ()
    margin: float | None = None
    bandit: str = DEFAULT_BANDIT
    ranking: Ranking | None = None
    places: int = 4
    temperature: float = 0.1
    seed: str = ""


def draft_campaign(plan: CampaignPlan, *, arms: Sequence[ArmPlan] | None = None) -> Campaign:
    """Make a draft with its experiment and its policy; offers follow.

    Raises:
        ValidationError: The split leaves an arm empty, or the goal cannot be learned from.
    """
    event, kind = reward_of(plan.goal)
    with transaction.atomic():
        experiment = plan_experiment(
            key=plan.key,
            name=plan.name,
            arms=plan.split.to_arms() if arms is None else arms,
            goal=plan.goal,
            others=plan.others,
            planned_customers=plan.planned_customers,
            minimum_days=plan.minimum_days,
            seed=plan.seed,
        )
        policy = Policy.objects.create(
            key=plan.key,
            name=plan.name,
            kind=plan.bandit,
            hyperparameters=dict(plan.hyperparameters),
            landmarks=list(plan.landmarks),
            margin=plan.margin,
            features=plan.features.to_json(),
            reward_event=event,
            reward_kind=kind,
            reward_window_seconds=plan.reward_window_seconds,
            held_back_share=plan.held_back_share,
            floor=plan.floor,
            ranking=plan.ranking,
            places=plan.places,
            temperature=plan.temperature,
        )
        return Campaign.objects.create(
            key=plan.key,
            name=plan.name,
            placement=plan.placement,
            experiment=experiment,
            policy=policy,
            priority=plan.priority,
            hold_minutes=plan.hold_minutes,
            starts_at=plan.starts_at,
            ends_at=plan.ends_at,
            budget_cents=plan.budget_cents,
            budget_pacing=plan.budget_pacing,
            fallback=plan.fallback,
            audience=plan.audience,
            created_by=plan.created_by,
        )


def free_campaign_key(name: str) -> str:
    """Make a key from a name that no campaign, experiment or policy has: its own have the same."""
    return free_key(to_stem(name, otherwise="campaign"), Campaign, Experiment, Policy)


def find_nothing() -> Offer:
    """Return what stands for no offer among the offers of a campaign; all campaigns share it."""
    found = Offer.objects.filter(is_nothing=True).first()
    return found or Offer.objects.create(
        key=free_key(NOTHING, Offer), name="Nothing", is_nothing=True
    )


def add_offers(campaign: Campaign, offers: Sequence[Offer]) -> None:
    """Give a campaign offers, in this order."""
    CampaignOffer.objects.bulk_create(
        CampaignOffer(
            campaign=campaign, offer=offer, position=position, baseline_weight=share_of(offer)
        )
        for position, offer in enumerate(offers)
    )


def share_of(offer: Offer) -> int:
    """Return an offer's first share of the control arm, where everybody is to get something."""
    return 0 if offer.is_nothing else 1


def reward_of(goal: Metric) -> tuple[str, RewardKind]:
    """Return the event, and the way to count it, by which a policy serves this goal.

    Raises:
        ValidationError: The goal is more than the number or the value of one event.
    """
    metric = METRICS[goal.kind]
    params = read_params(metric, goal.params)
    columns = metric.columns(params, [() for _ in metric.cuts(params)])
    if len(columns) == 1 and isinstance(total := columns[0], Total):
        # What a policy is told of a reward is its event's name and value, from the decision on.
        plain = Total(total.how, Events(total.events.name), cap=total.cap)
        if replace(total, window=plain.window) == plain and total.window.opens == 0:
            return total.events.name, RewardKind(total.how)
    raise ValidationError(f"A policy cannot learn from {goal.name}; choose another goal.")
