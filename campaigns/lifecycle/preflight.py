"""Looks over a campaign before customers meet it: what blocks it, what its makers should know."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from audience.audiences.counting import count
from audience.audiences.saving import find_rule
from audience.models import Channel
from audience.rules.grammar import NoRule
from campaigns.lifecycle.money_checks import check_prices, check_reward
from campaigns.models import LIVE, ONSITE, Campaign, Message, Offer, OfferContent, Status, Step
from campaigns.sending.step_conditions import resolve_condition
from experiments.lifecycle.preflight import Issue, has_come_lately
from experiments.wording import say_list
from recommender.bandits import SEQUENCE_KINDS
from recommender.models import Ranking

# An audience that grew or shrank by more than this is not the one that was approved.
GROWTH = 1.5
# A message without a way out must not be sent.
WAY_OUT = "unsubscribe_url"
WAITING = (Status.APPROVED, Status.SCHEDULED, *LIVE)


def find_issues(campaign: Campaign, *, now: datetime) -> list[Issue]:
    """Run every check on a campaign; what blocks comes first."""
    found = [issue for check in PREFLIGHT for issue in check(campaign, now)]
    return sorted(found, key=lambda issue: not issue.is_blocking)


def count_audience(campaign: Campaign) -> int | None:
    """Count whom a campaign is for now; None where it is for everybody who comes."""
    if campaign.audience is None:
        return None
    size, _ = count(find_rule(campaign.audience))
    return size


def check_audience(campaign: Campaign, now: datetime) -> Iterator[Issue]:
    """Look for an audience that is empty, or another than was approved."""
    size = count_audience(campaign)
    if size == 0:
        yield Issue("audience", True, f"Nobody is in {campaign.audience}.", "audience")
    review = campaign.reviews.filter(is_approved=True).first()
    if review is None or campaign.status not in WAITING or not size or not review.audience_size:
        return
    if not 1 / GROWTH <= size / review.audience_size <= GROWTH:
        yield Issue(
            "audience_size",
            True,
            f"{campaign.audience} has {size:,} customers, and had {review.audience_size:,} when "
            "the campaign was approved. Ask for another review.",
            "audience",
        )


def check_offers(campaign: Campaign, now: datetime) -> Iterator[Issue]:
    """Look for offers that cannot be shown or say nothing, the fallback too."""
    if campaign.fallback is not None and not _says_something(campaign.fallback, campaign):
        yield Issue("fallback", True, f"The fallback {campaign.fallback} says nothing.", "offers")
    if campaign.policy.ranking is not None:
        yield from _check_ranking(campaign.policy.ranking)
        return
    offers = [choice.offer for choice in campaign.choices.select_related("offer")]
    if not any(offer.can_be_shown(now) and not offer.is_nothing for offer in offers):
        yield Issue("offers", True, "It needs at least one offer that can be shown.", "offers")
    if offers and not any(choice.baseline_weight for choice in campaign.choices.all()):
        yield Issue(
            "shares", True, "At least one offer needs a share of the control arm.", "offers"
        )
    silent = [o.name for o in offers if not (o.is_nothing or _says_something(o, campaign))]
    if silent:
        yield Issue(
            "content",
            True,
            f"{say_list(silent)} has no headline for {campaign.placement} yet.",
            "offers",
        )
    for offer in offers:
        if offer.ends_at and campaign.ends_at and offer.ends_at < campaign.ends_at:
            yield Issue("offer_ends", False, f"{offer} ends before the campaign does.", "offers")


def _check_ranking(ranking: Ranking) -> Iterator[Issue]:
    served = ranking.served_version
    if served is None:
        yield Issue("ranking", True, f"{ranking} serves no version yet.", "offers")
    elif not served.picks.filter(customer=None).exclude(items=[]).exists():
        yield Issue("ranking", True, f"{ranking} lists nothing for newcomers.", "offers")


def check_messages(campaign: Campaign, now: datetime) -> Iterator[Issue]:
    """Look for messages that are missing, and for some without a way out."""
    if not campaign.placement.is_sent:
        return
    steps = list(campaign.steps.prefetch_related("messages"))
    if not steps:
        yield Issue("message", True, "Write the message that is sent.", "messages")
    for step in steps:
        messages = list(step.messages.all())
        if not any(message.language == "" for message in messages):
            yield Issue(
                "language",
                True,
                f"{step.name} says nothing to those of any other language.",
                "messages",
            )
        if step.only_if and not _means_something(step):
            words = f"Nobody can tell for whom {step.name} is: choose it again."
            yield Issue("condition", True, words, "messages")
        if campaign.placement.channel == Channel.EMAIL:
            yield from _check_mails(step.name, messages)


def _means_something(step: Step) -> bool:
    try:
        resolve_condition(step)
    except NoRule:
        return False
    return True


def check_overlaps(campaign: Campaign, now: datetime) -> Iterator[Issue]:
    """Look for campaigns that decide for the same customers in the same place."""
    if campaign.placement.channel != ONSITE:
        return
    others = Campaign.objects.filter(
        Q(starts_at=None) | Q(starts_at__lt=campaign.ends_at) if campaign.ends_at else Q(),
        Q(ends_at=None) | Q(ends_at__gt=campaign.starts_at or now),
        placement=campaign.placement_id,
        status__in=WAITING,
    ).exclude(pk=campaign.pk)
    for other in others:
        is_before = (other.priority, other.pk) < (campaign.priority, campaign.pk or 0)
        first, second = (other, campaign) if is_before else (campaign, other)
        if first.audience_id is None:
            yield Issue(
                "overlap",
                True,
                f"{first} is for everybody in {campaign.placement} at the same time and comes "
                f"first: {second} would never be seen. Give one an audience, or other dates.",
                "schedule",
            )
        else:
            yield Issue(
                "overlap",
                False,
                f"{other} is in {campaign.placement} at the same time. Who is in both audiences "
                f"sees {first}.",
                "schedule",
            )


def check_times(campaign: Campaign, now: datetime) -> Iterator[Issue]:
    """Look for an end that has passed, and a start that will be at once."""
    if campaign.ends_at is not None and campaign.ends_at <= now:
        yield Issue("end", True, "The campaign's end has passed.", "schedule")
    if campaign.starts_at is not None and campaign.starts_at <= now:
        yield Issue(
            "start", False, "Its start has passed: it begins as soon as it is started.", "schedule"
        )
    days = campaign.experiment.minimum_days
    begins = max(campaign.starts_at or now, now)
    if campaign.ends_at is not None and campaign.ends_at - begins < timedelta(days=days):
        yield Issue(
            "too_short",
            False,
            f"It ends before its minimum of {days} days: there will be no verdict by then.",
            "schedule",
        )


def check_goal(campaign: Campaign, now: datetime) -> Iterator[Issue]:
    """Look for a goal of which nothing was heard lately."""
    name = campaign.policy.reward_event
    is_known = has_come_lately(name, now=now)
    if is_known is None:
        yield Issue(
            "unknown_event",
            False,
            f"Whether “{name}”, which the goal counts, came in the last 28 days could not be found "
            "out in time.",
            "idea",
        )
    elif not is_known:
        yield Issue(
            "no_events",
            False,
            f"The goal counts “{name}”, and no such event came in the last 28 days. Without it "
            "nothing is learned or proven.",
            "idea",
        )


def check_waiting(campaign: Campaign, now: datetime) -> Iterator[Issue]:
    """Look for a policy that looks ahead and can do nothing about what it sees."""
    if campaign.policy.kind not in SEQUENCE_KINDS or campaign.policy.ranking_id is not None:
        return
    if not campaign.offers.filter(is_nothing=True).exists():
        words = "The policy looks ahead, and cannot wait: let it choose nothing at all too."
        yield Issue("cannot_wait", False, words, "offers")


PREFLIGHT: tuple[Callable[[Campaign, datetime], Iterator[Issue]], ...] = (
    check_audience,
    check_offers,
    check_messages,
    check_overlaps,
    check_times,
    check_goal,
    check_reward,
    check_prices,
    check_waiting,
)


def _says_something(offer: Offer, campaign: Campaign) -> bool:
    if offer.headline or offer.text:
        return True
    contents = OfferContent.objects.filter(offer=offer, placement=campaign.placement)
    return contents.exclude(headline="", text="").exists()


def _check_mails(step: str, messages: Sequence[Message]) -> Iterator[Issue]:
    for message in messages:
        if not message.subject:
            yield Issue("subject", True, f"{step} has no subject.", "messages")
        if WAY_OUT not in (message.html or message.body):
            yield Issue(
                "unsubscribe",
                True,
                f"{step} has no link to unsubscribe: put {{{{ {WAY_OUT} }}}} into it.",
                "messages",
            )
