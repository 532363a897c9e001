"""Lets a policy decide by a version of before, while it goes on learning."""

from django.core.exceptions import ValidationError
from django.db import transaction

from recommender.models import Policy, PolicyVersion
from wire.notices import announce_change


def pin_version(version: PolicyVersion) -> None:
    """Decide by this version until somebody says otherwise; it does not expire meanwhile.

    Raises:
        ValidationError: It has just been thinned out.
    """
    with transaction.atomic():
        policy = Policy.objects.select_for_update(no_key=True).get(pk=version.policy_id)
        # Learning deletes the oldest versions, and waits here.
        if not policy.versions.filter(number=version.number).exists():
            raise ValidationError(f"{version} is no longer kept.")
        policy.pinned_version = version.number
        policy.save(update_fields=["pinned_version"])
        announce_change()


def unpin(policy: Policy) -> None:
    """Decide by the newest version again."""
    Policy.objects.filter(pk=policy.pk).update(pinned_version=None)
    announce_change()
