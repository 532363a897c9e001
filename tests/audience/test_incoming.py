from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audience.incoming import (
    NEWEST,
    OLDEST,
    Rejected,
    check_customer_key,
    check_key,
    check_time,
    value_of,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("key", ["1", "a" * 255, " x ", "Zoë", "anonymous"])
def test_a_key_is_kept_as_it_is(key: str) -> None:
    assert check_customer_key(key, what="userId") == key


@pytest.mark.parametrize(
    ("key", "words"),
    [("", "empty"), (" \t", "empty"), ("a" * 256, "longer than 255"), ("a\0", "NUL")],
)
def test_a_key_that_cannot_be_stored_is_rejected(key: str, words: str) -> None:
    with pytest.raises(Rejected, match=f"userId .*{words}"):
        check_key(key, what="userId")


def test_a_customer_cannot_take_a_visitors_key() -> None:
    with pytest.raises(Rejected, match="marks visitors"):
        check_customer_key("anonymous:abc", what="userId")


@pytest.mark.parametrize("offset", [-OLDEST, timedelta(0), NEWEST])
def test_a_time_near_now_is_kept(offset: timedelta) -> None:
    assert check_time(NOW + offset, now=NOW) == NOW + offset


@pytest.mark.parametrize("offset", [-OLDEST - timedelta(seconds=1), NEWEST + timedelta(seconds=1)])
def test_a_time_that_no_clock_shows_is_rejected(offset: timedelta) -> None:
    with pytest.raises(Rejected, match="too far from now"):
        check_time(NOW + offset, now=NOW)


@pytest.mark.parametrize(
    ("properties", "value"),
    [
        ({"revenue": 2, "total": 3, "value": 4}, 2.0),
        ({"total": 3.5, "value": 4}, 3.5),
        ({"value": -1}, -1.0),
        ({"revenue": "12", "value": 4}, 4.0),
        ({"revenue": True}, None),
        ({"revenue": None}, None),
        ({"revenue": 10**400}, None),
        ({"revenue": 1e15}, None),
        ({}, None),
    ],
)
def test_the_value_is_the_first_number_of_those_that_segment_names(
    properties: dict[str, Any], value: float | None
) -> None:
    assert value_of(properties) == value
