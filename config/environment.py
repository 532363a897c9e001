"""Read typed settings from the environment and complain clearly about bad ones."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

# A hundred years.
MOST_DAYS = 36_500


def text(name: str, default: str = "") -> str:
    """Return a variable, or the contents of the file that `<name>_FILE` points at."""
    file = os.environ.get(f"{name}_FILE")
    if file:
        return Path(file).read_text().strip()
    return os.environ.get(name, default)


def flag(name: str, *, default: bool = False) -> bool:
    """Return a yes/no variable."""
    value = os.environ.get(name, "").strip().lower()
    if value in {"", "1", "true", "yes", "on", "0", "false", "no", "off"}:
        return default if value == "" else value in {"1", "true", "yes", "on"}
    raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}.")


def choice(name: str, options: Collection[str], default: str) -> str:
    """Return a variable that has one of a few values."""
    chosen = text(name) or default
    if chosen not in options:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(options)}, not {chosen!r}.")
    return chosen


def beginning_with(prefix: str) -> dict[str, str]:
    """Return the variables whose names begin so, by the rest of their names."""
    files = {n.removesuffix("_FILE") for n in os.environ if n.endswith("_FILE")}
    names = {n for n in {*os.environ, *files} if n.startswith(prefix) and not n.endswith("_FILE")}
    return {name.removeprefix(prefix): text(name) for name in sorted(names)}


def words(name: str, default: str = "") -> list[str]:
    """Return a comma-separated variable as a list."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def days(name: str, *, default: int | None, least: int) -> int | None:
    """Return a number of days; "forever" is None.

    Args:
        name: Of the variable.
        default: What holds where it is not set.
        least: Fewer would break something.
    """
    said = text(name).strip().lower()
    if said in {"", "forever"}:
        return default if said == "" else None
    is_number = said.isascii() and said.isdigit() and len(said) <= len(str(MOST_DAYS))
    if not (is_number and least <= int(said) <= MOST_DAYS):
        raise ImproperlyConfigured(
            f"{name} must be a number of days from {least} to {MOST_DAYS}, or forever, "
            f"not {said!r}."
        )
    return int(said)


def database(url: str) -> dict[str, Any]:
    """Turn a `postgresql://` URL into Django's connection settings, as libpq reads it."""
    if not url.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://.")
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read: {error}") from error
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host"}
    named = {name: str(parts.pop(key, "")) for name, key in names.items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **named,
        "PORT": str(parts.pop("port", "")),
        "OPTIONS": parts,
    }


def broker(redis_url: str) -> str:
    """Write a Redis URL the way that Celery's transport spells Unix sockets."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    database_number = parse_qs(query).get("db", ["0"])[-1]
    return f"redis+socket://{path}?virtual_host={database_number}"
