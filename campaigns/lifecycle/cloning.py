"""Copy a campaign into a new draft: all that people settled, and nothing that happened."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from campaigns.lifecycle.design import SENT_FIELDS
from campaigns.lifecycle.drafting import CampaignPlan, draft_campaign, free_campaign_key
from campaigns.lifecycle.redrafting import find_split
from campaigns.models import Campaign, CampaignOffer, Cap, Message, Step
from campaigns.sending.step_conditions import copy_condition
from experiments.lifecycle.status import record_change
from experiments.models import Metric, Role
from recommender.weighing.contacts import without_computed
from recommender.weighing.features import FeatureSpec


def clone_campaign(campaign: Campaign, *, by: User, now: datetime) -> Campaign:
    """Draft the same campaign again; its experiment and its policy begin with nothing."""
    experiment, policy = campaign.experiment, campaign.policy
    metrics = experiment.measured.select_related("metric")
    goal = next(row.metric for row in metrics if row.role == Role.GOAL)
    others: list[Metric] = [row.metric for row in metrics if row.role == Role.SECONDARY]
    plan = CampaignPlan(
        key=free_campaign_key(campaign.name),
        name=f"{campaign.name[:93]} (copy)",
        placement=campaign.placement,
        goal=goal,
        others=others,
        planned_customers=experiment.planned_customers,
        minimum_days=experiment.minimum_days,
        split=find_split(campaign),
        features=without_computed(FeatureSpec.from_json(policy.features)),
        reward_window_seconds=policy.reward_window_seconds,
        held_back_share=policy.held_back_share,
        floor=policy.floor,
        priority=campaign.priority,
        hold_minutes=campaign.hold_minutes,
        budget_cents=campaign.budget_cents,
        fallback=campaign.fallback,
        hyperparameters=policy.hyperparameters,
        landmarks=policy.landmarks,
        margin=policy.margin,
        bandit=policy.kind,
        ranking=policy.ranking,
        places=policy.places,
        temperature=policy.temperature,
        audience=campaign.audience,
        created_by=by,
    )
    with transaction.atomic():
        copy = draft_campaign(plan)
        # Besides what `CampaignPlan` takes. The dates are not copied: they are over, or taken.
        for name in SENT_FIELDS:
            setattr(copy, name, getattr(campaign, name))
        copy.save(update_fields=SENT_FIELDS)
        _copy_parts(campaign, copy)
        record_change(copy.experiment, f"copied from {campaign}", by=by, now=now)
    return copy


def _copy_parts(campaign: Campaign, copy: Campaign) -> None:
    CampaignOffer.objects.bulk_create(
        CampaignOffer(
            campaign=copy,
            offer_id=choice.offer_id,
            baseline_weight=choice.baseline_weight,
            position=choice.position,
        )
        for choice in campaign.choices.all()
    )
    Cap.objects.bulk_create(
        Cap(
            campaign=copy,
            limit=cap.limit,
            is_per_customer=cap.is_per_customer,
            counts=cap.counts,
            event=cap.event,
            window=cap.window,
            hours=cap.hours,
        )
        for cap in campaign.caps.order_by("pk")
    )
    for step in campaign.steps.prefetch_related("messages"):
        messages = list(step.messages.all())
        new = Step.objects.create(
            campaign=copy,
            position=step.position,
            name=step.name,
            wait_minutes=step.wait_minutes,
            only_if=copy_condition(step, copy.key),
        )
        Message.objects.bulk_create(_copy_message(message, new) for message in messages)


def _copy_message(message: Message, step: Step) -> Message:
    return Message(
        step=step,
        language=message.language,
        subject=message.subject,
        preheader=message.preheader,
        body=message.body,
        text=message.text,
        html=message.html,
    )
