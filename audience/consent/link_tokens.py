"""Short signed texts for the links in messages, which vouch for whom they are about.

Nobody can make one without the site's secret key, and one that was made for a confirmation is of
no use for anything else. Keys that `SECRET_KEY_FALLBACKS` still names are taken too, because
mails are kept for years.
"""

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache

from django.conf import settings

# A signature of 128 bits cannot be guessed, and makes a short link.
SIGNATURE_BYTES = 16
LONGEST = 600


def sign_text(text: str, *, use: str) -> str:
    """Return a token that holds a text, for one use."""
    body = text.encode()
    signed = _signature(settings.SECRET_KEY, use, body) + body
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def read_text(token: str, *, use: str) -> str | None:
    """Return what a token holds, or None where we did not make it for this use."""
    if len(token) > LONGEST or not token.isascii():
        return None
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    signature, body = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
    keys = [settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS)]
    # Every key is tried, so that the time says nothing of them.
    matches = [hmac.compare_digest(signature, _signature(key, use, body)) for key in keys]
    return body.decode() if any(matches) else None


def _signature(secret: str, use: str, body: bytes) -> bytes:
    return hmac.digest(_key_of(secret, use), body, hashlib.sha256)[:SIGNATURE_BYTES]


@lru_cache(maxsize=32)
def _key_of(secret: str, use: str) -> bytes:
    return hmac.digest(secret.encode(), f"offerlab links: {use}".encode(), hashlib.sha256)
