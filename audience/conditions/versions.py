"""Compares version numbers such as 2.10.0-beta.1, as semantic versioning orders them."""

import re
from typing import Any

# A leading v and the build say nothing about the order.
_IGNORED = re.compile(r"^v|\+.*$")
_SEPARATOR = re.compile(r"[-.]")
_NUMBER = re.compile(r"[0-9]+")
# Sorts after every letter: a release comes after what led to it.
_RELEASE = "~"
_WIDTH = 5


def sort_key(version: Any) -> str:
    """Write a version as a text that sorts where the version belongs.

    By GrowthBook's rule, so that clients and we agree: numbers are padded to five places, which
    orders longer numbers by their digits as text, and what is no version counts as 0.
    """
    if isinstance(version, int | float) and not isinstance(version, bool):
        version = str(version)
    text = version if isinstance(version, str) and version else "0"
    parts = _SEPARATOR.split(_IGNORED.sub("", text))
    if len(parts) == 3:
        parts.append(_RELEASE)
    return "-".join(part.rjust(_WIDTH) if _NUMBER.fullmatch(part) else part for part in parts)
