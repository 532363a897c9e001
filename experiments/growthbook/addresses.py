"""Reads a page's address: variations forced in it, the pages an experiment is for, redirects."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from audience.conditions.patterns import is_found

# Stands for any text in a pattern; a host's name may not hold an asterisk.
_ANY = "_____"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def find_override(key: str, url: str, count: int) -> int | None:
    """Find the variation that an address forces on an experiment by `?key=1`; None if none."""
    query = url.partition("?")[2].partition("#")[0]
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == key:
            return int(value) if re.fullmatch("[0-9]{1,4}", value) and int(value) < count else None
    return None


def is_targeted(url: str, targets: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether an experiment is for a page: none excludes it, and if any includes, one does."""
    included = []
    for target in targets:
        is_met = _is_met(url, target)
        if target.get("include", True):
            included.append(is_met)
        elif is_met:
            return False
    return bool(targets) and (not included or any(included))


def add_query(url: str, target: str) -> str:
    """Add an address' parameters to another address, except those that it has itself."""
    parts = urlsplit(target)
    own = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in own}
    added = [pair for pair in _query(urlsplit(url)) if pair[0] not in names]
    return urlunsplit(parts._replace(query=urlencode([*own, *added])))


def _is_met(url: str, target: Mapping[str, Any]) -> bool:
    pattern = target.get("pattern")
    try:
        page = urlsplit(urljoin("https://_", url))
        if target.get("type") == "regex":
            whole = urlunsplit(page)
            origin = f"{page.scheme}://{page.netloc}"
            return is_found(pattern, whole) or is_found(pattern, whole.removeprefix(origin))
        return (
            target.get("type") == "simple"
            and isinstance(pattern, str)
            and _is_like(page, _read_pattern(pattern))
        )
    except ValueError:
        # What is no address is no experiment's page.
        return False


def _read_pattern(pattern: str) -> SplitResult:
    """Read a pattern as an address; without a scheme or a host it is for any."""
    named = re.sub(r"^([^:/?]*)\.", r"https://\1.", pattern, count=1).replace("*", _ANY)
    return urlsplit(urljoin(f"https://{_ANY}", named))


def _is_like(page: SplitResult, pattern: SplitResult) -> bool:
    given = dict(reversed(_query(page)))
    return (
        _is_part_like(_host(page), _host(pattern))
        # A slash at either end makes no difference.
        and _is_part_like(page.path.strip("/"), pattern.path.strip("/"))
        and (not pattern.fragment or _is_part_like(page.fragment, pattern.fragment))
        and all(_is_part_like(given.get(name, ""), value) for name, value in _query(pattern))
    )


def _is_part_like(actual: str, pattern: str) -> bool:
    escaped = ".*".join(map(re.escape, pattern.split(_ANY)))
    return re.fullmatch(escaped, actual, re.IGNORECASE) is not None


def _host(parts: SplitResult) -> str:
    port = parts.port
    is_usual = port is None or port == _DEFAULT_PORTS.get(parts.scheme)
    return (parts.hostname or "") + ("" if is_usual else f":{port}")


def _query(parts: SplitResult) -> list[tuple[str, str]]:
    return parse_qsl(parts.query, keep_blank_values=True)
