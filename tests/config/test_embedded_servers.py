"""Real servers, killed and left behind in every way that has been seen."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from config.embedded import paths
from config.embedded.failure import ServerError
from config.embedded.postgres import EmbeddedPostgres, find_postgres_programs
from config.embedded.privilege import drop_root
from config.embedded.services import EmbeddedServices
from config.embedded.valkey import find_valkey_program

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0

HOLD = textwrap.dedent("""
    import sys
    from pathlib import Path
    from config.embedded.services import EmbeddedServices
    with EmbeddedServices(Path(sys.argv[1]), report=lambda message: None) as services:
        print(*services.pids, flush=True)
        sys.stdin.read()
""")


@pytest.fixture(scope="module")
def shared_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a finished cluster; each test leaves its servers stopped."""
    data_dir = tmp_path_factory.mktemp("shared")
    with serving(data_dir):
        return data_dir


def test_fresh_directory_serves_both_and_nothing_remains_after(tmp_path: Path) -> None:
    with serving(tmp_path) as services:
        pids = services.pids
        assert select_one(services.database_url) == 1
        with redis.Redis.from_url(services.redis_url) as client:
            assert client.ping()
    assert not any(is_running(pid) for pid in pids)
    assert list(paths.socket_directory(tmp_path).iterdir()) == []


def test_both_sockets_are_for_us_alone(shared_dir: Path) -> None:
    with serving(shared_dir):
        assert paths.socket_directory(shared_dir).stat().st_mode & 0o777 == 0o700
        for path in (paths.postgres_socket(shared_dir), paths.valkey_socket(shared_dir)):
            assert path.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of our death")
def test_killed_supervisor_takes_its_servers_along(shared_dir: Path) -> None:
    with holding(shared_dir) as (supervisor, pids):
        supervisor.kill()
        wait_for(lambda: not any(is_running(pid) for pid in pids))


def test_what_was_acknowledged_survives_killing_everything(shared_dir: Path) -> None:
    with holding(shared_dir) as (supervisor, pids):
        with psycopg.connect(paths.database_url(shared_dir)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        with redis.Redis.from_url(paths.redis_url(shared_dir)) as client:
            client.set("kept", 7)
        for pid in (supervisor.pid, *pids):
            os.kill(pid, signal.SIGKILL)
    with serving(shared_dir, is_durable=True) as services:
        with psycopg.connect(services.database_url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]
        with redis.Redis.from_url(services.redis_url) as client:
            assert client.get("kept") == b"7"


def test_stale_pid_of_an_unrelated_process_is_ignored(shared_dir: Path) -> None:
    cluster = paths.postgres_cluster(shared_dir)
    bystander = subprocess.Popen([*drop_root(cluster=cluster), "sleep", "60"])
    try:
        (cluster / "postmaster.pid").write_text(
            f"{bystander.pid}\n{cluster}\n1\n5432\n\n\n  1 1\nready\n"
        )
        with serving(shared_dir) as services:
            assert select_one(services.database_url) == 1
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_servers_left_running_are_replaced(shared_dir: Path) -> None:
    cluster, sockets = paths.postgres_cluster(shared_dir), paths.socket_directory(shared_dir)
    postgres = subprocess.Popen(
        [
            *drop_root(cluster=cluster),
            str(find_postgres_programs(None) / "postgres"),
            *("-D", str(cluster), "-c", "listen_addresses="),
            *("-c", f"unix_socket_directories={sockets}"),
        ],
        stderr=subprocess.DEVNULL,
    )
    valkey = subprocess.Popen(
        [
            str(find_valkey_program()),
            *("--port", "0", "--unixsocket", str(paths.valkey_socket(shared_dir))),
            *("--dir", str(paths.valkey_files(shared_dir)), "--appendonly", "yes"),
        ],
        stdout=subprocess.DEVNULL,
    )
    wait_for(paths.postgres_socket(shared_dir).exists)
    wait_for(paths.valkey_socket(shared_dir).exists)
    with serving(shared_dir) as services:
        assert select_one(services.database_url) == 1
        assert postgres.wait(20) == 0
        assert valkey.wait(20) == 0


def test_stale_sockets_and_half_made_cluster_are_discarded(shared_dir: Path) -> None:
    half_made = shared_dir / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    for path in (paths.postgres_socket(shared_dir), paths.valkey_socket(shared_dir)):
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    lock = paths.postgres_socket(shared_dir).with_name(".s.PGSQL.5432.lock")
    lock.write_text(f"{os.getpid()}\n")
    with serving(shared_dir) as services:
        assert select_one(services.database_url) == 1


def test_half_made_cluster_does_not_stop_the_first_start(tmp_path: Path) -> None:
    half_made = tmp_path / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    with serving(tmp_path, with_valkey=False) as services:
        assert select_one(services.database_url) == 1
    assert not half_made.exists()


def test_foreign_files_in_place_of_the_cluster_are_left_alone(tmp_path: Path) -> None:
    treasure = paths.postgres_cluster(tmp_path) / "treasure"
    treasure.parent.mkdir()
    treasure.write_text("gold")
    with pytest.raises(ServerError, match="not a PostgreSQL cluster"), serving(tmp_path):
        pass
    assert treasure.read_text() == "gold"


def test_crashed_server_is_revived(shared_dir: Path) -> None:
    with serving(shared_dir) as services:
        before = services.pids
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(is_running(pid) for pid in before))
        services.revive()
        assert set(services.pids).isdisjoint(before)
        assert select_one(services.database_url) == 1


def test_directory_without_postgres_programs_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="lacks initdb, postgres, psql"):
        find_postgres_programs(tmp_path)


def test_reason_of_a_failed_start_is_quoted(shared_dir: Path, tmp_path: Path) -> None:
    configuration = paths.postgres_cluster(shared_dir) / "postgresql.auto.conf"
    before = configuration.read_text()
    configuration.write_text("nonsense = 1\n")
    try:
        with pytest.raises(ServerError, match="unrecognized configuration parameter"):
            EmbeddedPostgres(shared_dir).start(report=print)
    finally:
        configuration.write_text(before)


def test_very_long_data_directory_works(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long-" * 20) / ("longer-" * 10)
    try:
        with serving(data_dir) as services:
            assert select_one(services.database_url) == 1
            with redis.Redis.from_url(services.redis_url) as client:
                assert client.ping()
    finally:
        shutil.rmtree(paths.socket_directory(data_dir))


def test_socket_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    paths.socket_directory(tmp_path).mkdir()
    with (
        pytest.raises(ServerError, match="belongs to another user"),
        serving(tmp_path, with_postgres=False),
    ):
        pass


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_root_can_keep_data_where_only_root_may_go(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with serving(tmp_path / "data", with_valkey=False) as services:
        assert select_one(services.database_url) == 1
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "postgres").stat().st_uid != 0


@pytest.mark.skipif(not IS_ROOT, reason="the other tests show it already")
def test_normal_user_can_run_both() -> None:
    user = pwd.getpwnam("daemon")
    home = Path(tempfile.mkdtemp(prefix="offerlab-daemon-"))
    os.chown(home, user.pw_uid, user.pw_gid)
    try:
        done = run_as(user, HOLD, str(home / "data"))
        if "ModuleNotFoundError" in done.stderr or "Permission denied" in done.stderr:
            pytest.skip("no other user can run a Python that reaches this checkout")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.split()) == 2
        assert (home / "data" / "postgres").stat().st_uid == user.pw_uid
    finally:
        shutil.rmtree(home)


def run_as(
    user: pwd.struct_passwd, script: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run Python as somebody else: the system's, for ours may be where only root may go."""
    packages = [str(ROOT), *(path for path in sys.path if "site-packages" in path)]
    return subprocess.run(
        ["/usr/bin/env", "python3", "-c", script, *arguments],
        env={"PYTHONPATH": os.pathsep.join(packages), "PATH": os.defpath},
        cwd="/",
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def serving(
    data_dir: Path,
    *,
    with_postgres: bool = True,
    with_valkey: bool = True,
    is_durable: bool = False,
) -> Iterator[EmbeddedServices]:
    services = EmbeddedServices(
        data_dir,
        with_postgres=with_postgres,
        with_valkey=with_valkey,
        is_durable=is_durable,
        report=print,
    )
    with services:
        yield services


@contextmanager
def holding(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Let a process of its own run the servers."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        assert process.stdout is not None
        yield process, [int(word) for word in process.stdout.readline().split()]


def select_one(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT 1").fetchone()
    assert row is not None
    return int(row[0])


def wait_for(is_true: Callable[[], bool], *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Say whether a process does anything; a zombie that nobody reaps does not."""
    state = subprocess.run(
        ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return state not in {"", "Z"}
