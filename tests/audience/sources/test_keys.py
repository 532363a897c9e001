import asyncio
import base64
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis.asyncio
from django.db import IntegrityError
from psycopg_pool import AsyncConnectionPool

from audience.models import Kind, Scope, Source
from audience.sources import keyring as keyrings
from audience.sources.keyring import Keyring, key_of
from audience.sources.keys import (
    BEGINNINGS,
    create_source,
    find_source,
    hash_key,
    renew_key,
    revoke,
)
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
    """Let every request look for changes of keys."""
    monkeypatch.setattr("wire.current.LOOK_SECONDS", 0.0)
    monkeypatch.setattr(keyrings, "MISS_SECONDS", 0.0)


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


@pytest.mark.usefixtures("impatient")
def test_a_rotated_key_goes_on_until_its_time_has_come(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, old = make_source(Scope.EVENTS)
    new = renew_key(source, old_lives_for=timedelta(hours=1))
    assert [site.post("/v1/track", EVENT, key=key).status for key in (old, new)] == [200, 200]
    Source.objects.filter(pk=source.pk).update(old_key_until=datetime.now(UTC))
    monkeypatch.setattr("wire.current.RELOAD_SECONDS", 0.0)
    assert [site.post("/v1/track", EVENT, key=key).status for key in (old, new)] == [401, 200]
    assert find_source(old) is None
    assert find_source(new) == source


@pytest.mark.django_db
def test_a_revoked_key_is_not_brought_back_by_a_rotation() -> None:
    source, old = make_source(Scope.EVENTS)
    revoke(source, now=NOW)
    source.refresh_from_db()
    renew_key(source, old_lives_for=timedelta(hours=1))
    assert find_source(old) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "scope"),
    [(Kind.CLIENT, Scope.DECIDE), (Kind.CLIENT, Scope.READ), (Kind.SERVER, Scope.METRICS)],
)
def test_a_public_key_can_do_no_harm_and_a_server_key_runs_no_site(
    kind: Kind, scope: Scope
) -> None:
    with pytest.raises(IntegrityError, match="key_may_do_so_much"):
        create_source("x", kind=kind, scopes=[scope])


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "beginning"), list(BEGINNINGS.items()))
def test_a_key_says_of_which_kind_it_is(kind: Kind, beginning: str) -> None:
    source, key = create_source("x", kind=kind, scopes=[])
    assert key.startswith(source.key_prefix)
    assert source.key_prefix.startswith(beginning)


def test_guessing_keys_does_not_read_them_again_each_time(site: Site, reads: list[str]) -> None:
    async def guess(n: int) -> None:
        for number in range(n):
            answer = await site.client.post("/v1/track", EVENT, key=f"guess {number}")
            assert answer.status == 401

    site.run(guess(1))
    before = len(reads)
    site.run(guess(50))
    assert len(reads) == before


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep each reading of the keys."""
    kept: list[str] = []
    load = keyrings.load_sources

    async def load_and_keep(connection: psycopg.AsyncConnection) -> keyrings.Sources:
        kept.append("read")
        return await load(connection)

    monkeypatch.setattr(keyrings, "load_sources", load_and_keep)
    return kept


def test_who_asks_too_often_is_asked_to_wait(site: Site) -> None:
    source, key = make_source(Scope.EVENTS)
    Source.objects.filter(pk=source.pk).update(requests_per_second=1)
    answers = [site.post("/v1/track", EVENT, key=key) for _ in range(11)]
    assert [answer.status for answer in answers] == [200] * 10 + [429]
    assert answers[-1].headers["retry-after"] == "1"
    assert "1 times a second" in answers[-1].json()["detail"]
    _, other = make_source(Scope.EVENTS)
    monotonic_wait(site)
    assert site.post("/v1/track", EVENT, key=other).status == 200


def monotonic_wait(site: Site) -> None:
    """Wait until an unknown key is looked up again."""
    site.run(asyncio.sleep(keyrings.MISS_SECONDS))


def test_the_use_of_a_key_is_noted(
    pool: Pool, notices: redis.asyncio.Redis, runner: asyncio.Runner
) -> None:
    source, key = make_source(Scope.EVENTS)
    other, _ = make_source(Scope.EVENTS)
    keyring = Keyring(pool, notices, clock=lambda: NOW)

    async def use() -> None:
        await keyring.find(key, scope=Scope.EVENTS)
        await keyring.note_use()
        await keyring.note_use()

    runner.run(use())
    source.refresh_from_db()
    other.refresh_from_db()
    assert (source.last_used_at, other.last_used_at) == (NOW, None)


def test_the_first_requests_wait_for_the_keys_together(site: Site) -> None:
    _, key = make_source(Scope.EVENTS)

    async def burst() -> list[int]:
        sending = (site.client.post("/v1/track", EVENT, key=key) for _ in range(20))
        return [answer.status for answer in await asyncio.gather(*sending)]

    assert set(site.run(burst())) == {200}


def test_a_key_is_not_called_wrong_while_the_keys_cannot_be_read(
    runner: asyncio.Runner, notices: redis.asyncio.Redis
) -> None:
    async def ask() -> None:
        pool: Pool = AsyncConnectionPool(
            "host=/nowhere", min_size=0, max_size=1, timeout=0.05, open=False
        )
        async with pool:
            keyring = Keyring(pool, notices)
            for _ in range(2):
                with pytest.raises(psycopg.OperationalError):
                    await keyring.find("ol_right", scope=Scope.EVENTS)

    runner.run(ask())


def test_a_new_key_is_not_called_wrong_while_it_cannot_be_looked_up(
    pool: Pool, notices: redis.asyncio.Redis, runner: asyncio.Runner
) -> None:
    _, key = make_source(Scope.EVENTS)
    keyring = Keyring(pool, notices)

    async def story() -> None:
        await keyring.find(key, scope=Scope.EVENTS)
        await pool.close()
        with pytest.raises(Problem) as caught:
            await keyring.find("ol_new", scope=Scope.EVENTS)
        assert caught.value.status == 503
        await keyring.find(key, scope=Scope.EVENTS)

    runner.run(story())
