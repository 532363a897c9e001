"""Whose clock shows what: the time zone of a customer."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

ATTRIBUTE = "timezone"


@lru_cache(maxsize=1024)
def find_zone(name: str, *, otherwise: ZoneInfo) -> ZoneInfo:
    """Return the zone of an IANA name, or another where it is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # By how wrong a name is: unknown, no name at all, or a folder's.
        return otherwise


def zone_of(attributes: Mapping[str, Any], *, otherwise: ZoneInfo) -> ZoneInfo:
    """Return the zone that a customer's attributes name, or another where they name none."""
    name = attributes.get(ATTRIBUTE)
    return find_zone(name, otherwise=otherwise) if isinstance(name, str) else otherwise
