import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audience.incoming import EVENT_BYTES, Incoming, Rejected
from audience.intake.segment import read_item
from wire.bodies import LIMIT_DEPTH

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def read(_raw: bytes | None = None, **fields: Any) -> Incoming:
    sent_at = fields.pop("batch_sent_at", None)
    raw = json.dumps({"userId": "1", "event": "X", **fields}).encode() if _raw is None else _raw
    return read_item(raw, now=NOW, sent_at=sent_at)


def why_rejected(_raw: bytes | None = None, **fields: Any) -> str:
    with pytest.raises(Rejected) as caught:
        read(_raw, **fields)
    return str(caught.value)


def test_a_track_message_becomes_an_event() -> None:
    properties = {"revenue": 12.5, "coupon": "A"}
    message = read(event="Order Completed", properties=properties, messageId="m1")
    assert message == Incoming(
        message_id="m1",
        occurred_at=NOW,
        customer_key="1",
        name="Order Completed",
        value=12.5,
        properties=properties,
    )


@pytest.mark.parametrize(("type_", "name"), [("page", "Page Viewed"), ("screen", "Screen Viewed")])
def test_a_view_is_an_event_with_its_page_among_the_properties(type_: str, name: str) -> None:
    message = read(type=type_, name="Home", category="Shop", properties={"url": "/"})
    assert message.name == name
    assert message.properties == {"name": "Home", "category": "Shop", "url": "/"}


def test_a_property_counts_more_than_the_name_beside_it() -> None:
    assert read(type="page", name="a", properties={"name": "b"}).properties == {"name": "b"}


@pytest.mark.parametrize("type_", ["identify", "group"])
def test_a_describing_message_is_no_event(type_: str) -> None:
    message = read(type=type_, properties={"value": 5})
    assert (message.name, message.value, message.properties) == (None, None, {})


def test_identify_describes_a_customer() -> None:
    assert read(type="identify", traits={"age": 5}).traits == {"age": 5}
    assert read(type="page", traits={"age": 5}).traits == {}


def test_a_group_is_described_under_one_attribute() -> None:
    message = read(type="group", groupId=42, traits={"plan": "pro", "id": "theirs"})
    assert message.traits == {"group": {"id": "42", "plan": "pro"}}


def test_a_group_without_an_id_describes_nothing() -> None:
    assert read(type="group", groupId=" ", traits={"plan": "pro"}).traits == {}


def test_an_alias_joins_its_previous_id() -> None:
    message = read(type="alias", previousId="old", anonymousId="other")
    assert (message.customer_key, message.anonymous_id) == ("1", "old")


@pytest.mark.parametrize("previous", [{}, {"previousId": None}, {"previousId": ""}])
def test_an_alias_without_a_previous_id_joins_the_browsers_id(previous: dict[str, Any]) -> None:
    message = read(type="alias", anonymousId="browser", **previous)
    assert (message.customer_key, message.anonymous_id) == ("1", "browser")


@pytest.mark.parametrize("fields", [{"userId": None, "previousId": "a"}, {}])
def test_an_alias_needs_two_names(fields: dict[str, Any]) -> None:
    assert "needs userId, and previousId or anonymousId" in why_rejected(type="alias", **fields)


@pytest.mark.parametrize("name", ["Order Completed", "Order Refunded", "Order Cancelled"])
def test_an_order_may_write_its_money_as_text(name: str) -> None:
    assert read(event=name, properties={"revenue": "12.50"}).value == 12.5
    assert read(event="Rated", properties={"revenue": "12.50"}).value is None


def test_the_context_that_tells_situations_apart_stands_among_the_properties() -> None:
    context = {
        "campaign": {"name": "spring"},
        "library": {"name": "node"},
        "ip": "1.2.3.4",
        "userAgent": "x",
    }
    message = read(context=context, properties={"a": 1})
    assert message.properties == {"context": {"campaign": {"name": "spring"}}, "a": 1}
    assert read(context=context, properties={"context": 5}).properties == {"context": 5}
    assert read(context={"ip": "1.2.3.4"}).properties == {}


def test_a_message_says_more_of_its_context_than_the_batch_around_it() -> None:
    raw = b'{"userId":"1","event":"X","context":{"locale":"de","app":null}}'
    message = read_item(raw, now=NOW, context={"locale": "en", "timezone": "UTC", "app": "a"})
    assert message.properties == {"context": {"locale": "de", "timezone": "UTC", "app": None}}


@pytest.mark.parametrize("user_id", [None, "", " "])
def test_an_empty_user_id_is_none(user_id: str | None) -> None:
    message = read(userId=user_id, anonymousId="a")
    assert (message.customer_key, message.anonymous_id) == (None, "a")


def test_a_number_is_as_good_a_name_as_a_text() -> None:
    message = read(userId=42, anonymousId=7)
    assert (message.customer_key, message.anonymous_id) == ("42", "7")


@pytest.mark.parametrize("message_id", [None, "", " "])
def test_a_message_without_an_id_gets_one(message_id: str | None) -> None:
    first, second = read(messageId=message_id), read(messageId=message_id)
    assert first.message_id != second.message_id
    assert uuid.UUID(first.message_id).version == 4


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"userId": None}, "One of userId and anonymousId is needed"),
        ({"userId": "anonymous:a"}, "userId begins with 'anonymous:'"),
        ({"userId": "a" * 256}, "userId is longer than 255"),
        ({"userId": True}, "userId"),
        ({"userId": 1.5}, "userId"),
        ({"userId": int("1" * 4300)}, "userId is longer"),
        ({"anonymousId": "a" * 246}, "anonymousId is longer than 245"),
        ({"type": "alias", "previousId": "a" * 246}, "previousId is longer than 245"),
        ({"userId": "a\0"}, "userId holds the NUL"),
        ({"messageId": "a" * 101}, "messageId is longer than 100"),
        ({"messageId": "a\0"}, "messageId holds the NUL"),
        ({"messageId": 5}, "messageId"),
        ({"event": None}, "needs an event name"),
        ({"event": ""}, "event is empty"),
        ({"event": "a\0"}, "event holds the NUL"),
        ({"event": ["a"]}, "event"),
        ({"type": "charge"}, "'charge' is not known"),
        ({"type": "x\0" * 99}, "is not known"),
        ({"type": 5}, "type"),
        ({"properties": []}, "properties"),
        ({"properties": {"a": "\0"}}, "NUL"),
        ({"properties": {"\0": "a"}}, "NUL"),
        ({"type": "page", "name": "\0"}, "NUL"),
        ({"type": "identify", "traits": {"a": ["\0"]}}, "NUL"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 1700000000}, "timestamp"),
        ({"timestamp": "2016-01-01T00:00:00Z"}, "too far from now"),
        ({"timestamp": "2026-03-04T00:00:00Z"}, "too far from now"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "too far from now"),
        ({"timestamp": "0001-01-01T00:00:00Z", "sentAt": "9999-12-31T23:59:59Z"}, "after it"),
        ({"properties": {"a": "x" * EVENT_BYTES}}, "larger than 32768 bytes"),
    ],
)
def test_a_message_that_cannot_be_taken_says_why(fields: dict[str, Any], words: str) -> None:
    reason = why_rejected(**fields)
    assert words in reason
    assert reason.endswith(".")
    assert "\0" not in reason


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"5", "Expected `object`"),
        (b"null", "Expected `object`"),
        (b'{"userId":"\xff"}', "not valid JSON"),
        (b'{"userId":"1","event":"X","properties":{"a":1e999}}', "out of range"),
        (b'{"userId":"1","event":"X","properties":{"a":' + b"9" * 4301 + b"}}", "out of range"),
        (b'{"userId":"1","properties":' + b'{"a":' * 150 + b"1" + b"}" * 151, "nested"),
        (b'{"userId":"1","properties":' + b'{"a":' * 2000 + b"1" + b"}" * 2001, "nested"),
    ],
)
def test_what_no_json_library_writes_is_rejected(raw: bytes, words: str) -> None:
    reason = why_rejected(raw)
    assert words in reason
    assert "body" not in reason


def test_properties_may_be_nested_almost_to_the_limit() -> None:
    levels = LIMIT_DEPTH - 1
    raw = (
        b'{"userId":"1","event":"X","properties":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"
    )
    assert read(raw).name == "X"


def test_half_an_emoji_in_a_name_costs_only_itself() -> None:
    assert read(rb'{"userId":"1","event":"cut \ud83d"}').name == "cut \ufffd"


@pytest.mark.parametrize(
    "said",
    [
        "2026-03-02T10:00:00Z",
        "2026-03-02T10:00:00.000Z",
        "2026-03-02T10:00:00.0000000Z",
        "2026-03-02T11:00:00+01:00",
        "2026-03-02T11:00:00+0100",
        "2026-03-02 10:00:00",
        "2026-03-02T10:00:00",
    ],
)
def test_a_time_is_read_as_libraries_write_it(said: str) -> None:
    assert read(timestamp=said).occurred_at == NOW - 2 * HOUR


def test_the_original_timestamp_counts_more_than_the_timestamp() -> None:
    message = read(timestamp="2026-03-02T10:00:00Z", originalTimestamp="2026-03-02T09:00:00Z")
    assert message.occurred_at == NOW - 3 * HOUR


def test_a_wrong_clock_is_put_right_by_when_it_says_that_it_sent() -> None:
    message = read(timestamp="2011-05-05T10:00:00Z", sentAt="2011-05-05T10:30:00Z")
    assert message.occurred_at == NOW - HOUR / 2


def test_a_batch_says_for_its_messages_when_it_was_sent() -> None:
    sent_at = datetime(2011, 5, 5, 11)  # noqa: DTZ001 - some libraries leave the zone out
    assert read(timestamp="2011-05-05T10:00:00Z", batch_sent_at=sent_at).occurred_at == NOW - HOUR


def test_what_happened_after_it_was_sent_happened_now() -> None:
    message = read(timestamp="2026-03-02T11:00:00Z", sentAt="2026-03-02T10:00:00Z")
    assert message.occurred_at == NOW


def test_the_path_says_what_a_single_message_is() -> None:
    raw = b'{"userId":"1","type":"identify","event":"X"}'
    assert read_item(raw, now=NOW, type_="track").name == "X"
