"""Where the embedded servers' sockets are."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from config.embedded import paths
from tests.services import own_redis_url


def test_sockets_are_below_the_data_directory_when_their_path_is_short() -> None:
    assert paths.socket_directory(Path("/srv/offerlab")) == Path("/srv/offerlab/run")


def test_sockets_move_to_the_temporary_directory_when_their_path_is_long() -> None:
    directory = paths.socket_directory(Path("/srv") / ("a" * 120))
    assert directory.name.startswith("offerlab-")
    assert directory == paths.socket_directory(Path("/srv") / ("a" * 120))
    assert directory != paths.socket_directory(Path("/srv") / ("b" * 120))


@given(st.integers(1, 150), st.sampled_from("aé€"))
def test_no_socket_path_exceeds_the_kernels_limit(length: int, letter: str) -> None:
    data_dir = Path("/srv") / (letter * length)
    for socket in (paths.postgres_socket(data_dir), paths.valkey_socket(data_dir)):
        assert len(bytes(socket)) <= 103


def test_database_url_survives_odd_characters_in_the_path() -> None:
    query = urlsplit(paths.database_url(Path("/srv/a b&c?d"))).query
    assert parse_qs(query) == {"host": ["/srv/a b&c?d/run"]}


def test_each_parallel_worker_gets_a_redis_database_of_its_own() -> None:
    assert own_redis_url("unix:///run/v.sock?db=0", worker="gw3") == "unix:///run/v.sock?db=3"
    assert own_redis_url("redis://:pw@host:6379/2", worker="gw1") == "redis://:pw@host:6379/3"
    assert own_redis_url("redis://host", worker="gw0") == "redis://host/0"
