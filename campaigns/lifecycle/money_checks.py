"""Looks over what offers cost, and what the policy makes of that, for the pre-flight."""

from collections.abc import Iterator
from datetime import datetime

from campaigns.models import Campaign, Offer, Pacing
from experiments.lifecycle.preflight import Issue
from experiments.wording import say_list
from recommender.bandits import LOG_ODDS_KINDS, RATE_KINDS
from recommender.models import RewardKind


def check_reward(campaign: Campaign, now: datetime) -> Iterator[Issue]:
    """Look for a policy that cannot learn from its reward, or does not see what offers cost."""
    policy = campaign.policy
    if policy.kind in RATE_KINDS and policy.reward_kind != RewardKind.ANY:
        words = f"{policy.get_kind_display()} learns from goals that are reached or not."
        yield Issue("kind", True, words, "proof")
    if policy.reward_kind != RewardKind.SUM or policy.ranking is not None:
        return
    costly = Offer.objects.filter(campaigns=campaign, cost_cents__gt=0)
    currencies = sorted(costly.order_by().values_list("currency", flat=True).distinct())
    if policy.margin is None:
        if currencies:
            words = (
                "Its offers cost something, and its policy does not mind: say how much of what is "
                "ordered you keep, and it will."
            )
            yield Issue("costs", False, words, "proof")
    elif len(currencies) > 1:
        words = f"Its offers cost {say_list(currencies)}, which cannot be added up."
        yield Issue("currencies", True, words, "offers")


def check_prices(campaign: Campaign, now: datetime) -> Iterator[Issue]:
    """Look for a budget that cannot be spent where it earns most."""
    if campaign.budget_pacing != Pacing.DUAL:
        return
    if campaign.policy.kind in LOG_ODDS_KINDS:
        words = (
            f"{campaign.policy.get_kind_display()} cannot weigh what an offer uses up against what "
            "it earns: choose another way to choose offers."
        )
        yield Issue("prices", True, words, "proof")
    offers = Offer.objects.filter(campaigns=campaign)
    costs, is_limited = offers.filter(cost_cents__gt=0), offers.filter(cap_total__isnull=False)
    if not (campaign.budget_cents is not None and costs.exists()) and not is_limited.exists():
        words = "Nothing is scarce: give it a budget, or an offer a limit in total."
        yield Issue("nothing_scarce", True, words, "schedule")
    elif not offers.filter(cost_cents=0, cap_total=None).exists():
        words = (
            "All of its offers are scarce, so that everybody gets one of them while they last. "
            "Let it show nothing too, and it spares them for those with whom they earn most."
        )
        yield Issue("all_scarce", False, words, "offers")
