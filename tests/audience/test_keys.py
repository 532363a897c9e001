import asyncio
import base64
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from audience import keys
from audience.keys import Keyring, create_source, hash_key, key_of, renew_key, revoke
from audience.models import Scope, Source
from tests.asgi import Site, basic
from tests.audience.conftest import Pool
from tests.makers import make_source
from wire.messages import Problem, Request

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
EVENT = {"event": "X", "userId": "1"}


def a_request(authorization: str | None) -> Request:
    headers = {} if authorization is None else {"authorization": authorization}
    return Request("POST", "/v1/track", headers, b"")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every request look for keys anew."""
    monkeypatch.setattr(keys, "REFRESH_SECONDS", 0.0)


@pytest.mark.parametrize(
    "authorization",
    [basic("k1"), basic("k1").replace("Basic", "basic"), "Bearer k1", "bearer  k1 "],
)
def test_a_key_is_read_from_the_header(authorization: str) -> None:
    assert key_of(a_request(authorization), in_body="other") == "k1"


@pytest.mark.parametrize("authorization", [None, "Bearer ", basic(""), "Digest abc"])
def test_a_key_in_the_body_is_read_where_the_header_has_none(authorization: str | None) -> None:
    assert key_of(a_request(authorization), in_body="k1") == "k1"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Basic !",
        "Basic é",
        "Basic " + base64.b64encode(b"\xff:").decode(),
        "Basic YQ",
    ],
)
def test_a_request_without_a_readable_key_is_told_how_to_send_one(
    authorization: str | None,
) -> None:
    with pytest.raises(Problem) as caught:
        key_of(a_request(authorization))
    assert caught.value.status == 401
    assert caught.value.headers == {"www-authenticate": 'Basic realm="OfferLab"'}


@pytest.mark.django_db
def test_only_a_keys_hash_and_beginning_are_stored() -> None:
    source, key = create_source("shop", scopes=[Scope.EVENTS])
    stored = Source.objects.filter(pk=source.pk).values().get()
    assert bytes(stored["key_hash"] or b"") == hash_key(key)
    assert stored["key_prefix"] == key[:8]
    assert not any(key in str(value) for value in stored.values())


@pytest.mark.django_db
def test_a_new_key_changes_nothing_else_of_a_source() -> None:
    source, _ = make_source(Scope.EVENTS)
    Source.objects.filter(pk=source.pk).update(name="renamed meanwhile")
    renew_key(source)
    assert Source.objects.get(pk=source.pk).name == "renamed meanwhile"


@pytest.mark.django_db
def test_revoking_twice_keeps_the_first_time() -> None:
    source, _ = make_source(Scope.EVENTS)
    revoke(source, now=NOW)
    revoke(source, now=datetime(2026, 5, 5, tzinfo=UTC))
    source.refresh_from_db()
    assert source.revoked_at == NOW


@pytest.mark.parametrize("way", ["basic", "bearer", "body"])
def test_a_key_opens_the_door_in_each_way(site: Site, way: str) -> None:
    _, key = make_source(Scope.EVENTS)
    if way == "body":
        answer = site.post("/v1/t", EVENT | {"writeKey": key})
    else:
        header = {"basic": basic(key), "bearer": f"Bearer {key}"}[way]
        answer = site.post("/v1/track", EVENT, headers={"authorization": header})
    assert answer.status == 200


def test_a_wrong_key_is_refused(site: Site) -> None:
    answer = site.post("/v1/track", EVENT, key="ol_wrong")
    assert (answer.status, "No source has this key" in answer.text) == (401, True)


def test_a_key_without_the_scope_is_refused_by_the_scopes_name(site: Site) -> None:
    _, key = make_source(Scope.DECIDE)
    answer = site.post("/v1/track", EVENT, key=key)
    assert (answer.status, "'events'" in answer.text) == (403, True)


@pytest.mark.usefixtures("impatient")
def test_a_revoked_key_stops_and_a_new_one_starts(site: Site) -> None:
    source, key = make_source(Scope.EVENTS)
    assert site.post("/v1/track", EVENT, key=key).status == 200
    revoke(source, now=NOW)
    assert site.post("/v1/track", EVENT, key=key).status == 401
    renewed = renew_key(source)
    assert site.post("/v1/track", EVENT, key=renewed).status == 200
    assert site.post("/v1/track", EVENT, key=key).status == 401


def test_a_revoked_key_stops_within_seconds(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    source, key = make_source(Scope.EVENTS)
    clock = [1000.0]
    monkeypatch.setattr("audience.keys.time.monotonic", lambda: clock[0])
    assert site.post("/v1/track", EVENT, key=key).status == 200
    revoke(source, now=NOW)
    clock[0] += keys.REFRESH_SECONDS + 0.1
    assert site.post("/v1/track", EVENT, key=key).status == 401


def test_guessing_keys_does_not_read_them_again_each_time(
    pool: Pool, runner: asyncio.Runner
) -> None:
    keyring = Keyring(pool)

    async def guess(n: int) -> None:
        for number in range(n):
            with pytest.raises(Problem):
                await keyring.find(f"guess {number}", scope=Scope.EVENTS)

    runner.run(guess(1))
    read_at = keyring._read_at
    runner.run(guess(50))
    assert keyring._read_at == read_at


def test_the_first_requests_wait_for_the_keys_together(site: Site) -> None:
    _, key = make_source(Scope.EVENTS)

    async def burst() -> list[int]:
        sending = (site.client.post("/v1/track", EVENT, key=key) for _ in range(20))
        return [answer.status for answer in await asyncio.gather(*sending)]

    assert set(site.run(burst())) == {200}


def test_a_key_is_not_called_wrong_while_the_keys_cannot_be_read(runner: asyncio.Runner) -> None:
    async def ask() -> None:
        pool: Pool = AsyncConnectionPool(
            "host=/nowhere", min_size=0, max_size=1, timeout=0.05, open=False
        )
        async with pool:
            keyring = Keyring(pool)
            for _ in range(2):
                with pytest.raises(psycopg.OperationalError):
                    await keyring.find("ol_right", scope=Scope.EVENTS)

    runner.run(ask())
