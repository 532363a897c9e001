"""Starts a throwaway site for a benchmark, and loads it with wrk."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.embedded.services import EmbeddedServices

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
STOP_SECONDS = 20
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Site:
    """A running site, and what its management commands need in their environment."""

    port: int
    environment: Mapping[str, str]
    pids: tuple[int, ...] = ()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def memory_mb(self) -> float:
        """Return the resident memory of its processes, in MB."""
        pages = 0
        for pid in self.pids:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """What an endpoint did under load; times in milliseconds."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    refused: int = 0

    def __str__(self) -> str:
        """Say it in a line."""
        refused = f"  {self.refused} refused" if self.refused else ""
        return (
            f"{self.requests_per_second:>9,.0f} requests/s  "
            f"p50 {self.p50_ms:6.2f} ms  p99 {self.p99_ms:6.2f} ms{refused}"
        )


@dataclass(frozen=True, slots=True)
class Shot:
    """A request that wrk sends over and over; `NUMBER` in the body is another each time."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    def to_lua(self) -> str:
        """Write it as a script of wrk's."""
        headers = "".join(f"  [{k!r}] = {v!r},\n" for k, v in self.headers.items())
        return f"""
local number = 0
local first = math.random(1, 1000000000)
local thread = 0
local body = [==[{self.body}]==]
local headers = {{
{headers}}}
function setup(t) thread = thread + 1; t:set("id", thread) end
function request()
  number = number + 1
  local mine = body:gsub("NUMBER", id .. "-" .. os.time() .. "-" .. number)
  return wrk.format("{self.method}", "{self.path}", headers, mine)
end
"""


@contextmanager
def services() -> Iterator[Mapping[str, str]]:
    """Start PostgreSQL and Valkey of their own; yield the environment that names them."""
    with (
        tempfile.TemporaryDirectory(prefix="offerlab-bench-") as directory,
        EmbeddedServices(Path(directory), report=lambda message: None) as started,
    ):
        environment = {
            **os.environ,
            "DATABASE_URL": started.database_url,
            "REDIS_URL": started.redis_url,
            "OFFERLAB_SPOOL_DIR": str(Path(directory) / "spool"),
            "HTTPS": "no",
            "LOG_LEVEL": "WARNING",
        }
        manage(environment, "migrate", "-v", "0")
        yield environment


def manage(environment: Mapping[str, str], *words: str) -> str:
    """Run a management command; return what it printed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout


def run_in_shell(environment: Mapping[str, str], script: str) -> str:
    """Run a script in Django's shell; return what it printed."""
    return manage(environment, "shell", "-v", "0", "-c", script)


@contextmanager
def serving(
    environment: Mapping[str, str],
    application: str = "config.asgi:application",
    workers: int = 1,
    *,
    threads: int = 0,
) -> Iterator[Site]:
    """Serve the site until the block ends, by WSGI with so many threads if any are given."""
    port = free_port()
    interface = ["wsgi", "--blocking-threads", str(threads)] if threads else ["asgi"]
    options = ["--workers", str(workers), "--no-ws", "--host", HOST, "--interface", *interface]
    server = subprocess.Popen(
        [sys.executable, "-m", "granian", *options, "--port", str(port), application],
        cwd=ROOT, env=environment,
    )  # fmt: skip
    started: tuple[int, ...] = ()
    try:
        wait_until_up(port)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        started = tuple(int(pid) for pid in children)
        yield Site(port, environment, started)
    finally:
        server.terminate()
        try:
            server.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # A request of a peer may wait for an event loop that is gone.
            for pid in (*started, server.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            server.wait()


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_up(port: int) -> None:
    """Wait until a server answers on a port of this machine, for half a minute at most."""
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://{HOST}:{port}/healthz").close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The server did not start.")


def wait_for_port(port: int) -> None:
    """Wait until somebody listens on a port of this machine, for half a minute at most."""
    for _ in range(300):
        try:
            socket.create_connection((HOST, port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The server did not start.")


def load(site: Site, shot: Shot, *, seconds: int = 5, connections: int = 32) -> Load:
    """Send a request over and over on keep-alive connections, as fast as it is answered."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("This benchmark needs wrk: https://github.com/wg/wrk (apt install wrk)")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(shot.to_lua())
        script.flush()
        done = subprocess.run(
            [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name,
             site.url],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    return read_wrk(done.stdout)


def read_wrk(printed: str) -> Load:
    """Read what wrk prints."""

    def percentile(name: str) -> float:
        found = re.search(rf"^\s+{name}%\s+([\d.]+)(us|ms|s)\s*$", printed, re.MULTILINE)
        if found is None:
            raise SystemExit(f"wrk said something else than expected:\n{printed}")
        return float(found[1]) * UNITS[found[2]]

    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    return Load(
        float(rate[1]) if rate else 0.0,
        percentile("50"),
        percentile("99"),
        int(refused[1]) if refused else 0,
    )
