"""Exclusion groups: which buckets of a group are still free."""

import secrets

from django.utils.text import slugify

from audience.naming import free_key, has_letters
from experiments.assigning.assignment import BUCKETS
from experiments.models import LIVE, UNSTARTED, ExclusionGroup, Experiment


class NoRoom(ValueError):
    """A group has no stretch of buckets as long as was asked for, and what is left."""


def read_group(name: str) -> ExclusionGroup | None:
    """Return the group of a name, made if it is new; None without a name."""
    if not has_letters(name):
        return None
    known = ExclusionGroup.objects.filter(name=name).first()
    if known is not None:
        return known
    # Spelt alike is meant alike; in other letters than Latin ones nothing is left to compare.
    key = slugify(name)[:60] or free_key("group", ExclusionGroup)
    group, _ = ExclusionGroup.objects.get_or_create(
        key=key, defaults={"name": name, "seed": f"group:{key}:{secrets.token_hex(4)}"}
    )
    return group


def find_room(group: ExclusionGroup, size: int, *, besides: Experiment) -> int:
    """Return the first bucket of a free stretch of so many, in a group.

    Raises:
        NoRoom: There is none.
    """
    taken = (
        group.experiments.exclude(pk=besides.pk)
        .filter(status__in=[*UNSTARTED, *LIVE])
        .order_by("group_from")
        .values_list("group_from", "group_until")
    )
    start = longest = 0
    for begins, ends in [*taken, (BUCKETS, BUCKETS)]:
        if begins - start >= size:
            return start
        longest = max(longest, begins - start)
        start = max(start, ends)
    raise NoRoom(f"The group {group} has {longest / 100:g}% left in one piece.")
