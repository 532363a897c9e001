"""Tells which version of an answer a client says that it has (RFC 9110, 13.1.2)."""


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Say whether a client that sends this header has what the ETag names, or takes anything."""
    if if_none_match is None:
        return False
    # Nearly every client sends the one tag that it was given.
    if if_none_match == etag:
        return True
    known = named_in(if_none_match)
    return "*" in known or etag.removeprefix("W/") in known


def named_in(if_none_match: str) -> set[str]:
    """Return the entity tags of an `If-None-Match` header, without their mark of weakness.

    That is nothing to this comparison, and proxies that pack an answer add it.
    """
    return {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
