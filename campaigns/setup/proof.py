"""The step of proof: who sees nothing, who sees what by chance, and for how long it is counted."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from audience.customers.sampling import sample_attributes
from campaigns.lifecycle.drafting import Split
from campaigns.lifecycle.redrafting import change_learning, change_split, find_split
from campaigns.models import Campaign
from campaigns.setup.base import Step
from recommender.bandits import RATE_KINDS, bandit_choices
from recommender.models import Policy, RewardKind
from recommender.weighing.profiling import fit_features, name_attributes


class ProofStep(Step):
    """What is promised before any result is seen; the usual values are good ones."""

    title = "Proof"
    explanation = (
        "Some customers see nothing, so that you will know what the offers are worth. "
        "What is proposed here is good for most campaigns."
    )

    holdout_percent = forms.IntegerField(
        min_value=1,
        max_value=50,
        label="Hold-out, %",
        help_text="See no offer, and so show what offers are worth.",
    )
    control_percent = forms.IntegerField(
        min_value=1,
        max_value=99,
        label="Control, %",
        help_text="See offers by fixed shares, and so show what personalising is worth. With the "
        "hold-out 100%: nobody is personalised for, and offers are compared with no offer.",
    )
    planned_customers = forms.IntegerField(
        min_value=100,
        max_value=2_000_000_000,
        help_text="How many are to take part; an early verdict needs overwhelming evidence.",
    )
    minimum_days = forms.IntegerField(
        min_value=0,
        max_value=365,
        help_text="Results stay hidden, and nothing wins, before so many days have passed.",
    )
    reward_window_hours = forms.IntegerField(
        min_value=1,
        max_value=24 * 90,
        label="Hours of credit",
        help_text="For how long after it was given an offer is credited for the goal.",
    )
    learns_early = forms.BooleanField(
        required=False,
        label="Learn before they are over",
        help_text="As soon as the campaign's own past tells how much comes by when.",
    )
    kind = forms.ChoiceField(
        choices=bandit_choices,
        label="How offers are chosen",
        help_text="Randomised UCB is good for nearly everything; Linear Thompson tries more, and "
        "more evenly. Logistic Thompson suits goals that few customers reach, and reads its log "
        "anew to learn; Neural Linear finds what only attributes together tell, from some "
        "thousand decisions on. The Gaussian and the Beta kind learn what is best for everybody, "
        "the latter for goals that are reached or not. Square CB explores by how far an offer is "
        "behind. Sequential looks ahead: it sees what a customer was offered lately, and waits "
        "where one more contact would cost more than it earns; let it choose nothing too.",
    )
    margin_percent = forms.FloatField(
        required=False,
        min_value=0.01,
        max_value=100,
        label="Of what is ordered you keep, %",
        help_text="For goals that add up what was ordered. Offers are then chosen by the money "
        "that they leave: this share of what is ordered, less what the offer costs you. So one is "
        "given only where it earns more than it costs. Empty: by the goal alone, whatever offers "
        "cost.",
    )
    learns_from = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What the policy looks at. None: it learns what is best for everybody.",
    )

    def __init__(self, campaign: Campaign, data: Mapping[str, Any] | None = None) -> None:
        """Offer the attributes that customers have."""
        super().__init__(campaign, data)
        self.sample = sample_attributes()
        names = dict.fromkeys([*name_attributes(self.sample), *self.initial["learns_from"]])
        field = self.fields["learns_from"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(name, name) for name in names]

    @classmethod
    def read(cls, campaign: Campaign) -> dict[str, Any]:
        """Return what the draft says."""
        split, policy = find_split(campaign), campaign.policy
        return {
            "holdout_percent": split.holdout_percent,
            "control_percent": split.control_percent,
            "planned_customers": campaign.experiment.planned_customers,
            "minimum_days": campaign.experiment.minimum_days,
            "reward_window_hours": policy.reward_window_seconds // 3600,
            "learns_early": _is_early(policy),
            "kind": policy.kind,
            "margin_percent": None if policy.margin is None else round(100 * policy.margin, 4),
            "learns_from": [one["attribute"] for one in policy.features["features"]],
        }

    def clean(self) -> dict[str, Any]:
        """Refuse a split that proves nothing, and what cannot be learned from."""
        cleaned = super().clean() or {}
        if {"holdout_percent", "control_percent"} <= cleaned.keys():
            try:
                self._split().to_arms()
            except ValidationError as error:
                self.add_error("control_percent", error)
        counts = self.campaign.policy.reward_kind != RewardKind.ANY
        if cleaned.get("kind") in RATE_KINDS and counts:
            words = "This kind learns from goals that are reached or not; this one is an amount."
            self.add_error("kind", words)
        is_sum = self.campaign.policy.reward_kind == RewardKind.SUM
        if cleaned.get("margin_percent") is not None and not is_sum:
            words = "Only a goal that adds up what was ordered leaves something; this one does not."
            self.add_error("margin_percent", words)
        if "learns_from" in cleaned:
            try:
                fit_features(self.sample, cleaned["learns_from"])
            except ValueError as error:
                self.add_error("learns_from", str(error))
        return cleaned

    def write(self) -> None:
        """Save it."""
        cleaned, campaign = self.cleaned_data, self.campaign
        change_split(campaign, self._split())
        change_learning(
            campaign,
            features=fit_features(self.sample, cleaned["learns_from"]),
            reward_window_seconds=cleaned["reward_window_hours"] * 3600,
            kind=cleaned["kind"],
            landmarks=self._landmarks(),
            margin=None if cleaned["margin_percent"] is None else cleaned["margin_percent"] / 100,
        )
        experiment = campaign.experiment
        experiment.planned_customers = cleaned["planned_customers"]
        experiment.minimum_days = cleaned["minimum_days"]
        experiment.save(update_fields=["planned_customers", "minimum_days"])

    def _landmarks(self) -> list[int]:
        """Return ages at which it learns; those that were chosen elsewhere stay."""
        if not self.cleaned_data["learns_early"]:
            return [self.cleaned_data["reward_window_hours"] * 3600]
        policy = self.campaign.policy
        return policy.landmarks if _is_early(policy) else []

    def _split(self) -> Split:
        return Split(self.cleaned_data["holdout_percent"], self.cleaned_data["control_percent"])


def _is_early(policy: Policy) -> bool:
    window = policy.reward_window_seconds
    return not policy.landmarks or min(policy.landmarks) < window
