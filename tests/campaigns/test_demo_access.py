"""The demo's log-in and key always work, and only their owner can read them."""

import json
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.utils import timezone

from audience.models import Source
from audience.sources.keys import hash_key, revoke
from campaigns.demo_access import SOURCE, Access, open_access

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "demo.json"


def works(access: Access) -> bool:
    user = authenticate(username=access.user, password=access.password)
    source = Source.objects.get(name=SOURCE, revoked_at=None)
    return user is not None and bytes(source.key_hash or b"") == hash_key(access.key)


def test_file_is_for_its_owner_alone(file: Path) -> None:
    access = open_access(file)
    assert works(access)
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text()) == {
        "user": "demo",
        "password": access.password,
        "key": access.key,
    }
    assert list(file.parent.iterdir()) == [file]


def test_second_time_nothing_changes(file: Path) -> None:
    assert open_access(file) == open_access(file)


@pytest.mark.parametrize("damage", [None, "", '{"password": 1}'])
def test_lost_file_makes_both_anew(file: Path, damage: str | None) -> None:
    before = open_access(file)
    file.unlink()
    if damage is not None:
        file.write_text(damage)
    after = open_access(file)
    assert works(after)
    assert after.password != before.password
    assert after.key != before.key


def test_file_without_its_database_is_honoured_where_it_can_be(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"user": "demo", "password": "as it was", "key": "ol_old"}))
    access = open_access(file)
    assert works(access)
    assert access.password == "as it was"
    assert access.key != "ol_old"


def test_revoked_key_is_replaced(file: Path) -> None:
    before = open_access(file)
    revoke(Source.objects.get(name=SOURCE), now=timezone.now())
    after = open_access(file)
    assert works(after)
    assert after.key != before.key
