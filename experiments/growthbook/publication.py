"""The payload as bytes: written once for everybody, or encrypted once for each key."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from experiments.growthbook.encryption import encrypt

# Long enough that no two contents share one.
TAG_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Edition:
    """What a client is sent: the document, the same as an event of a stream, and its ETag."""

    body: bytes
    event: bytes
    etag: str


class Publication:
    """A payload with the moment since which it is what it is."""

    def __init__(self, payload: Mapping[str, Any], *, updated_at: datetime) -> None:
        """Take a payload as it came at this moment."""
        self.payload = payload
        self._updated_at = updated_at
        self._content = _encode(payload)
        self._editions: dict[str, Edition] = {}

    def is_same(self, other: "Publication") -> bool:
        """Say whether another one says the same, whenever it came."""
        return self._content == other._content

    def edition(self, encryption_key: str = "") -> Edition:
        """Return it for a client: in the open, or for who has the key."""
        found = self._editions.get(encryption_key)
        if found is None:
            found = self._editions[encryption_key] = self._write(encryption_key)
        return found

    def _write(self, encryption_key: str) -> Edition:
        payload = _encrypt(self.payload, encryption_key) if encryption_key else self.payload
        updated = self._updated_at.astimezone(UTC).isoformat(timespec="milliseconds")
        body = _encode({"status": 200, **payload, "dateUpdated": updated.replace("+00:00", "Z")})
        # Of the content and the key alone, so that every process gives the same one; weak, because
        # processes may have seen the content come at different moments.
        digest = hashlib.sha256(encryption_key.encode() + self._content).hexdigest()
        return Edition(
            body=body,
            event=b"event: features\ndata: " + body + b"\n\n",
            etag=f'W/"{digest[:TAG_DIGITS]}"',
        )


def _encrypt(payload: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Encrypt every part of a payload, each under the name by which the SDKs know it."""
    encrypted = {
        f"encrypted{name[0].upper()}{name[1:]}": encrypt(_encode(part).decode(), key)
        for name, part in payload.items()
    }
    return {"features": {}, **encrypted}


def _encode(document: Any) -> bytes:
    return msgspec.json.encode(document, order="sorted")
