"""Change what a draft promises: its goal, how customers are divided, what its policy looks at."""

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import transaction

from campaigns.lifecycle.drafting import FIXED, Split, reward_of, share_of
from campaigns.models import Campaign, CampaignOffer, Offer, Status
from experiments.assigning.assignment import BUCKETS
from experiments.models import Metric, Role
from recommender.models import Ranking, RewardKind
from recommender.weighing.features import FeatureSpec


def change_goal(campaign: Campaign, goal: Metric) -> None:
    """Let a draft serve another goal.

    Raises:
        ValidationError: It is no draft, or a policy cannot learn from the goal.
    """
    check_draft(campaign)
    event, kind = reward_of(goal)
    with transaction.atomic():
        campaign.experiment.measured.filter(role=Role.GOAL).exclude(metric=goal).delete()
        campaign.experiment.measured.update_or_create(
            metric=goal, defaults={"role": Role.GOAL, "position": 0}
        )
        policy = campaign.policy
        policy.reward_event, policy.reward_kind = event, kind
        if kind != RewardKind.SUM:
            policy.margin = None
        policy.save(update_fields=["reward_event", "reward_kind", "margin"])


def change_split(campaign: Campaign, split: Split) -> None:
    """Divide a draft's customers otherwise.

    Raises:
        ValidationError: It is no draft, or an arm would be empty.
    """
    check_draft(campaign)
    plans, arms = split.to_arms(), campaign.experiment.arms
    with transaction.atomic():
        arms.exclude(key__in=[plan.key for plan in plans]).delete()
        # There is one control at a time, so none while they are changed.
        arms.update(is_control=False)
        for position, plan in enumerate(plans):
            values = {
                "name": plan.name,
                "weight": plan.weight,
                "is_control": plan.is_control,
                "payload": dict(plan.payload),
                "position": position,
            }
            arms.update_or_create(key=plan.key, defaults=values)


def find_split(campaign: Campaign) -> Split:
    """Return how a campaign's customers are divided, in whole per cent."""
    weights = dict(campaign.experiment.arms.values_list("key", "weight"))
    share = BUCKETS // 100
    fixed = weights.get("control", weights.get(FIXED, 0))
    return Split(weights.get("hold-out", 0) // share, fixed // share)


def change_learning(
    campaign: Campaign,
    *,
    features: FeatureSpec,
    reward_window_seconds: int,
    kind: str,
    landmarks: Sequence[int],
    margin: float | None,
) -> None:
    """Let a draft's policy learn otherwise or earlier, from other attributes or another reward.

    Raises:
        ValidationError: It is no draft.
    """
    check_draft(campaign)
    policy = campaign.policy
    policy.features, policy.reward_window_seconds = features.to_json(), reward_window_seconds
    policy.kind, policy.landmarks, policy.margin = kind, list(landmarks), margin
    policy.save(update_fields=["features", "reward_window_seconds", "kind", "landmarks", "margin"])


def change_offers(campaign: Campaign, offers: list[Offer]) -> None:
    """Give a draft these offers, in this order; those it had keep their shares.

    Raises:
        ValidationError: It is no draft.
    """
    check_draft(campaign)
    with transaction.atomic():
        campaign.choices.exclude(offer__in=offers).delete()
        for position, offer in enumerate(offers):
            CampaignOffer.objects.update_or_create(
                campaign=campaign,
                offer=offer,
                defaults={"position": position},
                create_defaults={"position": position, "baseline_weight": share_of(offer)},
            )


def change_slate(
    campaign: Campaign, ranking: Ranking | None, *, places: int, temperature: float
) -> None:
    """Let a draft show products of a ranking instead of offers; without one, offers again.

    Raises:
        ValidationError: It is no draft.
    """
    check_draft(campaign)
    policy = campaign.policy
    policy.ranking, policy.places, policy.temperature = ranking, places, temperature
    policy.save(update_fields=["ranking", "places", "temperature"])


def check_draft(campaign: Campaign) -> None:
    """Refuse to change what somebody approved, is looking at, or what runs.

    Raises:
        ValidationError: It is no draft.
    """
    if campaign.status != Status.DRAFT:
        raise ValidationError("Only a draft can be changed.")
