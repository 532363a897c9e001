"""Make, renew and revoke the keys by which sources are known."""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from audience.models import Kind, Scope, Source
from wire.notices import announce_change

KEY_BYTES = 24
# What a key begins with tells whoever finds it in a page or a log whether it is a secret.
BEGINNINGS = {Kind.CLIENT: "ol_client_", Kind.SERVER: "ol_", Kind.ADMIN: "ol_admin_"}
SHOWN_CHARACTERS = 5
ENCRYPTION_KEY_BYTES = 16


def hash_key(key: str) -> bytes:
    """Hash a key for storage. Keys are long random strings, so no salt or stretching is needed."""
    return hashlib.sha256(key.encode()).digest()


def create_source(
    name: str, *, scopes: Sequence[Scope], kind: Kind = Kind.SERVER
) -> tuple[Source, str]:
    """Make a source and return it with its key, which cannot be shown again."""
    source = Source(name=name, scopes=list(scopes), kind=kind)
    return source, renew_key(source)


def renew_key(source: Source, *, old_lives_for: timedelta = timedelta(0)) -> str:
    """Give a source a key, in place of any it had, and return it; it cannot be shown again.

    A source whose key was revoked is taken back in by it.

    Args:
        source: Whose.
        old_lives_for: How long the key that it had is still taken, so that nobody is turned away
            while the new one is handed round. A revoked one is not.
    """
    beginning = BEGINNINGS[Kind(source.kind)]
    key = f"{beginning}{secrets.token_urlsafe(KEY_BYTES)}"
    is_kept = bool(old_lives_for) and source.revoked_at is None
    source.old_key_hash = source.key_hash if is_kept else None
    source.old_key_until = timezone.now() + old_lives_for if is_kept else None
    source.key_prefix = key[: len(beginning) + SHOWN_CHARACTERS]
    source.key_hash = hash_key(key)
    source.revoked_at = None
    changed = ["key_prefix", "key_hash", "old_key_hash", "old_key_until", "revoked_at"]
    # What else of a known source was changed meanwhile stays so.
    source.save(update_fields=changed if source.pk else None)
    announce_change()
    return key


def revoke(source: Source, *, now: datetime) -> None:
    """Stop accepting a source's keys, the old one too, within seconds."""
    Source.objects.filter(pk=source.pk, revoked_at=None).update(revoked_at=now)
    announce_change()


def encrypt_payloads(source: Source) -> str:
    """Have what GrowthBook's libraries fetch with this source's key encrypted; return the key."""
    source.encryption_key = base64.b64encode(secrets.token_bytes(ENCRYPTION_KEY_BYTES)).decode()
    source.save(update_fields=["encryption_key"])
    announce_change()
    return source.encryption_key


def find_source(key: str) -> Source | None:
    """Return the source of a key that was not revoked; None where there is none."""
    digest = hash_key(key)
    is_old = Q(old_key_hash=digest, old_key_until__gt=timezone.now())
    return Source.objects.filter(Q(key_hash=digest) | is_old, revoked_at=None).first()
