"""Programs that are kept running, and that leave nothing behind."""

import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.embedded import processes, site
from config.embedded.failure import ServerError
from config.embedded.launch import launch
from config.embedded.lock import DataDirectoryLock
from config.embedded.orphans import is_alive
from config.embedded.processes import Program, Supervisor, Surroundings

ROOT = Path(__file__).parents[2]
HERE = Surroundings(environment=dict(os.environ), directory=ROOT)


class Stage:
    """A supervisor with its programs' output and its own reports."""

    def __init__(self) -> None:
        self.output = io.StringIO()
        self.reports: list[str] = []
        self.supervisor = Supervisor(output=self.output, report=self.reports.append)

    def run(self, *argv: str, is_kept_running: bool = True) -> None:
        program = Program(
            name="player", argv=argv, surroundings=HERE, is_kept_running=is_kept_running
        )
        self.supervisor.start(program)

    def wait_for_report(self, words: str, *, now: float) -> None:
        def is_reported() -> bool:
            self.supervisor.poll(now=now)
            return any(words in report for report in self.reports)

        wait_for(is_reported)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.supervisor.stop()


def test_output_lines_carry_the_programs_name(stage: Stage) -> None:
    stage.run("/bin/sh", "-c", "echo one; echo two >&2", is_kept_running=False)
    stage.wait_for_report("has ended (status 0)", now=time.monotonic())
    assert stage.output.getvalue() == "player | one\nplayer | two\n"


def test_crashed_program_is_started_again_after_a_pause(stage: Stage) -> None:
    now = time.monotonic()
    stage.run("/bin/sh", "-c", "exit 3")
    stage.wait_for_report("ended unexpectedly (status 3); pause 1 s", now=now)
    stage.supervisor.poll(now=now + 0.9)
    assert stage.supervisor.pids == {}
    stage.supervisor.poll(now=now + 1.1)
    assert list(stage.supervisor.pids) == ["player"]


def test_pause_doubles_with_each_crash(stage: Stage) -> None:
    now = time.monotonic()
    stage.run("/bin/sh", "-c", "exit 3")
    stage.wait_for_report("pause 1 s", now=now)
    stage.wait_for_report("pause 2 s", now=now + 1)
    stage.wait_for_report("pause 4 s", now=now + 3)


def test_command_that_runs_once_is_not_started_again(stage: Stage) -> None:
    stage.run("/bin/sh", "-c", "exit 0", is_kept_running=False)
    stage.wait_for_report("has ended", now=time.monotonic())
    stage.supervisor.poll(now=time.monotonic() + 1000)
    assert stage.supervisor.pids == {}


def test_stop_ends_grandchildren_too(stage: Stage) -> None:
    stage.run("/bin/sh", "-c", "sleep 60 & echo $!; wait")
    wait_for(lambda: stage.output.getvalue().endswith("\n"))
    grandchild = int(stage.output.getvalue().split("|")[1])
    stage.supervisor.stop()
    wait_for(lambda: not is_running(grandchild))


def test_program_deaf_to_sigterm_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    stage.run("/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done")
    wait_for(lambda: "deaf" in stage.output.getvalue())
    [pid] = stage.supervisor.pids.values()
    stage.supervisor.stop()
    assert not is_alive(pid)


def test_programs_stop_in_reverse_order(stage: Stage) -> None:
    for name in ("first", "second"):
        stage.supervisor.start(Program(name=name, argv=["sleep", "60"], surroundings=HERE))
    stage.supervisor.stop()
    assert stage.reports == ["Stopping second", "Stopping first"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of our death")
def test_program_dies_with_its_killed_parent() -> None:
    script = """
        import signal, time
        from config.embedded.launch import launch
        print(launch(["sleep", "60"], death_signal=signal.SIGTERM).pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, cwd=ROOT
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        # Before it has become `sleep`, the death signal may not be set yet.
        wait_for(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n")
        parent.kill()
    wait_for(lambda: not is_running(child))


def test_launching_from_another_thread_is_refused() -> None:
    errors: list[RuntimeError] = []

    def start() -> None:
        try:
            launch(["true"], death_signal=signal.SIGTERM)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_second_supervisor_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    with (
        DataDirectoryLock(tmp_path),
        pytest.raises(ServerError, match=rf"process {os.getpid()}\) is running on"),
        DataDirectoryLock(tmp_path),
    ):
        pass
    with DataDirectoryLock(tmp_path):
        pass


def test_busy_port_is_passed_over() -> None:
    first = site.find_free_port("127.0.0.1", wanted=20000)
    with socket.create_server(("127.0.0.1", first)):
        assert site.find_free_port("127.0.0.1", wanted=first) > first


def test_site_is_up_when_healthz_answers(stage: Stage) -> None:
    port = site.find_free_port("127.0.0.1", wanted=20100)
    script = f"""
        import http.server
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/healthz" else 404)
                self.end_headers()
        http.server.HTTPServer(("127.0.0.1", {port}), Answer).serve_forever()
    """
    stage.run(sys.executable, "-c", textwrap.dedent(script))
    url = site.address("127.0.0.1", port)
    assert site.wait_for_answer(url, supervisor=stage.supervisor, report=print) < 60


def wait_for(is_true: Callable[[], bool], *, seconds: float = 20.0) -> None:
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
