"""Keep what it takes to use the demo: a log-in and an API key, in a file of the data directory.

The database knows only their hashes. When the file is lost, both are made anew.
"""

import os
import secrets
from pathlib import Path

import msgspec
from django.contrib.auth.models import User

from audience.models import Scope, Source
from audience.sources.keys import create_source, hash_key, renew_key

USER = "demo"
# Nobody approves their own experiment: with the same password.
REVIEWER = "reviewer"
SOURCE = "Demo shop"
SCOPES = [Scope.EVENTS, Scope.DECIDE]
PASSWORD_BYTES = 12


class Access(msgspec.Struct, frozen=True):
    """The demo user's password and the demo source's key."""

    password: str
    key: str
    user: str = USER


def open_access(file: Path) -> Access:
    """Return what the file holds, and see to it that it works."""
    kept = _read(file)
    access = Access(
        password=_let_in(None if kept is None else kept.password),
        key=_give_key(None if kept is None else kept.key),
    )
    if access != kept:
        _write(file, access)
    return access


def _let_in(password: str | None) -> str:
    """Return a password that lets the demo's two people in: this one, or a new one."""
    password = password or secrets.token_urlsafe(PASSWORD_BYTES)
    for name in (USER, REVIEWER):
        user, _ = User.objects.get_or_create(
            username=name, defaults={"is_staff": True, "is_superuser": True}
        )
        if not user.check_password(password):
            user.set_password(password)
            user.save(update_fields=["password"])
    return password


def _give_key(key: str | None) -> str:
    """Return a key that opens the API: this one, or a new one."""
    source = Source.objects.filter(name=SOURCE).first()
    if source is None:
        return create_source(SOURCE, scopes=SCOPES)[1]
    if key and source.revoked_at is None and bytes(source.key_hash or b"") == hash_key(key):
        return key
    source.revoked_at, source.scopes = None, list(SCOPES)
    return renew_key(source)


def _read(file: Path) -> Access | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Access)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write(file: Path, access: Access) -> None:
    """Write the file for its owner's eyes only, all of it or nothing."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as writing:
        writing.write(msgspec.json.format(msgspec.json.encode(access)) + b"\n")
    unfinished.replace(file)
