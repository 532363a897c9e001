"""Keeps a policy from publishing after a check has failed, until somebody lets it again.

What was published before goes on deciding, and the policy goes on learning. The database records
who let it again, as it does with pins (`pinning.py`).
"""

import logging
from datetime import datetime

from django.core.exceptions import ValidationError

from recommender.models import Policy, PublishingHold

logger = logging.getLogger(__name__)

LONGEST_REASON = 300


def hold_publishing(policy: Policy, *, reason: str, now: datetime) -> bool:
    """Publish no version of a policy from now on; return whether that is new."""
    _, is_new = PublishingHold.objects.get_or_create(
        policy=policy,
        released_at=None,
        defaults={"reason": reason[:LONGEST_REASON], "held_at": now},
    )
    if is_new:
        logger.error("%s publishes nothing until somebody releases it: %s", policy, reason)
    return is_new


def is_held(policy: Policy) -> bool:
    """Tell whether a policy publishes nothing."""
    return PublishingHold.objects.filter(policy=policy, released_at=None).exists()


def find_release(policy: Policy) -> datetime | None:
    """Return when somebody last let a policy publish again."""
    released = PublishingHold.objects.filter(policy=policy, released_at__isnull=False)
    return released.order_by("-released_at").values_list("released_at", flat=True).first()


def release(hold: PublishingHold, *, now: datetime) -> None:
    """Let a policy publish again: what it learned meanwhile with its next lesson.

    Raises:
        ValidationError: Somebody did.
    """
    held = PublishingHold.objects.filter(pk=hold.pk, released_at=None)
    if not held.update(released_at=now):
        raise ValidationError(f"{hold.policy} publishes again already.")
