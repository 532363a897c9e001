"""A payload is written once, and says the same wherever it says the same."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from experiments.growthbook.encryption import decrypt
from experiments.growthbook.publication import Publication

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = b64encode(bytes(16)).decode()
PAYLOAD: dict[str, Any] = {"features": {"b": {"defaultValue": 1}, "a": {}}}
BANDITS = {**PAYLOAD, "contextualBandits": {"policy": {"banditVersion": 1}}}


def read(publication: Publication, key: str = "") -> Any:
    return msgspec.json.decode(publication.edition(key).body)


def test_a_document_holds_the_payload_and_its_date() -> None:
    assert read(Publication(PAYLOAD, updated_at=NOON)) == {
        "status": 200,
        **PAYLOAD,
        "dateUpdated": "2026-03-01T12:00:00.000Z",
    }


def test_it_is_written_once_for_each_key() -> None:
    publication = Publication(PAYLOAD, updated_at=NOON)
    assert publication.edition() is publication.edition()
    assert publication.edition(KEY) is publication.edition(KEY)


def test_an_event_carries_the_document_in_one_line() -> None:
    edition = Publication(PAYLOAD, updated_at=NOON).edition()
    assert edition.event == b"event: features\ndata: " + edition.body + b"\n\n"
    assert b"\n" not in edition.body


def test_who_has_the_key_reads_every_part() -> None:
    document = read(Publication(BANDITS, updated_at=NOON), KEY)
    assert document["features"] == {}
    assert msgspec.json.decode(decrypt(document["encryptedFeatures"], KEY)) == BANDITS["features"]
    bandits = decrypt(document["encryptedContextualBandits"], KEY)
    assert msgspec.json.decode(bandits) == BANDITS["contextualBandits"]
    assert "contextualBandits" not in document


def test_the_same_content_has_the_same_etag_in_whatever_order_and_whenever_it_came() -> None:
    turned = {"features": dict(reversed(PAYLOAD["features"].items()))}
    one, other = (
        Publication(PAYLOAD, updated_at=NOON),
        Publication(turned, updated_at=NOON + timedelta(days=1)),
    )
    assert one.is_same(other)
    assert one.edition().etag == other.edition().etag


def test_other_content_or_another_key_has_another_etag() -> None:
    one, other = Publication(PAYLOAD, updated_at=NOON), Publication(BANDITS, updated_at=NOON)
    assert not one.is_same(other)
    assert len({one.edition().etag, other.edition().etag, one.edition(KEY).etag}) == 3
