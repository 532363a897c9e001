"""Addresses that are never written to again, known by a keyed hash alone.

A plain hash of an address can be undone by trying addresses; this one needs the key of
`OFFERLAB_SUPPRESSION_KEY` too. Whoever changes that key forgets every suppression.
"""

import hashlib
import hmac
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.conf import settings

from audience.models import Channel, Suppression, SuppressionReason


def normalise_address(address: str) -> str:
    """Return an address as all its spellings are compared: mail servers know no capitals."""
    return unicodedata.normalize("NFKC", address).strip().casefold()


def hash_address(address: str) -> bytes:
    """Hash an address for storage, however it is spelled."""
    key = settings.SUPPRESSION_KEY.encode()
    return hmac.digest(key, normalise_address(address).encode(), hashlib.sha256)


def suppress(
    address: str, *, channel: Channel, reason: SuppressionReason, now: datetime
) -> Suppression:
    """Have an address never written to again; the first reason stays."""
    suppression, _is_new = Suppression.objects.get_or_create(
        channel=channel,
        address_hash=hash_address(address),
        defaults={"reason": reason, "created_at": now},
    )
    return suppression


def lift_suppression(address: str, *, channel: Channel) -> bool:
    """Let an address be written to again whose owner once unsubscribed and now asks for it.

    What bounced or complained stays suppressed, and so does what was suppressed by hand.
    """
    lifted, _by_table = Suppression.objects.filter(
        channel=channel,
        address_hash=hash_address(address),
        reason=SuppressionReason.UNSUBSCRIBED,
    ).delete()
    return bool(lifted)


def find_suppressed(
    addresses: Iterable[str], *, channel: Channel
) -> Mapping[str, SuppressionReason]:
    """Return which of many addresses are suppressed, each as it was given, and why."""
    by_hash: dict[bytes, list[str]] = {}
    for address in addresses:
        by_hash.setdefault(hash_address(address), []).append(address)
    if not by_hash:
        return {}
    rows = Suppression.objects.filter(channel=channel, address_hash__in=list(by_hash))
    return {
        address: SuppressionReason(reason)
        for digest, reason in rows.values_list("address_hash", "reason")
        for address in by_hash[bytes(digest)]
    }
