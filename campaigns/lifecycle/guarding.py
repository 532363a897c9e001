"""Keeps what was approved of a running campaign from being changed by its audiences."""

from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

from audience.audiences.saving import find_dependents, names_in
from audience.models import Audience
from campaigns.models import LIVE, Campaign


def may_approve(person: AbstractBaseUser | AnonymousUser) -> bool:
    """Tell whether somebody may change what customers see without asking anybody."""
    is_approver = isinstance(person, User) and person.has_perm("campaigns.approve_campaign")
    return is_approver or not settings.REVIEW_IS_REQUIRED


def guard_audience(audience: Audience, by: AbstractBaseUser | AnonymousUser) -> str | None:
    """Return which running campaign is for an audience that only approvers may change then."""
    if may_approve(by):
        return None
    changed = find_dependents(audience)
    live = Campaign.objects.filter(status__in=LIVE).select_related("audience")
    for campaign in live.prefetch_related("offers__audience", "steps"):
        if not changed.isdisjoint(_audiences_of(campaign)):
            return (
                f"{campaign} runs and depends on whom {audience} means. Somebody who may approve "
                "campaigns can change it, or copy it and change the copy."
            )
    return None


def _audiences_of(campaign: Campaign) -> Iterator[str]:
    """Name the keys of all audiences that a campaign asks for."""
    offers = (offer.audience for offer in campaign.offers.all())
    for audience in (campaign.audience, *offers):
        if audience is not None:
            yield audience.key
    for step in campaign.steps.all():
        yield from names_in(step.only_if)
