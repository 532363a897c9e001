"""Makes and reads the tokens that open an event stream, where no header can carry a key.

A browser's EventSource sends no headers, so the token stands in the address, which ends up in logs:
it is good for one to two hours, and for nothing but hearing that something changed.
"""

import base64
import hmac
from datetime import datetime

WINDOW_SECONDS = 3600
SIGNATURE_BYTES = 16


def window_at(now: datetime) -> int:
    """Number the hour; tokens made within one are alike."""
    return int(now.timestamp()) // WINDOW_SECONDS


def make_token(source_id: int, *, secret: bytes, now: datetime) -> str:
    """Make a token for a source, good until the next window ends."""
    return _sign(source_id, window_at(now), secret)


def read_token(token: str, *, secret: bytes, now: datetime) -> int | None:
    """Return the id of the source that a token was made for; None if it is forged or too old."""
    source, _, rest = token.partition(".")
    window, _, _ = rest.partition(".")
    if not (source.isdecimal() and window.isdecimal()):
        return None
    if not hmac.compare_digest(_sign(source, window, secret).encode(), token.encode()):
        return None
    return int(source) if 0 <= window_at(now) - int(window) <= 1 else None


def _sign(source: int | str, window: int | str, secret: bytes) -> str:
    said = f"{source}.{window}"
    # What was signed for another purpose with the same secret is no token.
    signature = hmac.digest(secret, f"ofrep-events:{said}".encode(), "sha256")[:SIGNATURE_BYTES]
    return f"{said}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
