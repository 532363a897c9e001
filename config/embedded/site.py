"""Run the site's own programs on top of its servers: web, worker, beat, one command."""

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from config.embedded.failure import ServerError
from config.embedded.processes import Program, Supervisor, Surroundings
from config.embedded.waiting import Report, wait_until

ANSWER_SECONDS = 180.0
POLL_SECONDS = 0.2
PORTS_TRIED = 100

# Celery warns root of pickled messages, and ours are JSON; WhiteNoise warns of files that were not
# collected, and it serves them from where they are.
HUSHED = "ignore:You're running the worker with superuser privileges,ignore:No directory at"

# Their names and queues. Who trains for minutes keeps nobody waiting who learns every few seconds.
WORKERS = (("worker", "celery"), ("trainer", "training"))

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def web_program(surroundings: Surroundings, *, host: str, port: int) -> Program:
    """Describe the web server: hot paths and Django in one process."""
    server = ["granian", "--interface", "asgi", "--workers", "1", "--no-ws"]
    listen = ["--host", host, "--port", str(port)]
    return Program(
        name="web",
        argv=[sys.executable, "-m", *server, *listen, "config.asgi:application"],
        surroundings=surroundings,
    )


def worker_program(surroundings: Surroundings, *, name: str, queue: str) -> Program:
    """Describe a Celery worker.

    Its pool is `solo`: one process, so nothing can be orphaned, PyTorch is loaded once, and CUDA
    works (it does not after a fork). A killed task loses nothing, for its claim runs out.
    """
    options = ["--loglevel", "INFO", "--concurrency", "1", "--pool", "solo", "-Q", queue]
    options += ["--hostname", f"{name}@%h"]
    # A worker that is alone has no neighbours to look for.
    options += ["--without-mingle", "--without-gossip"]
    return Program(
        name=name,
        argv=[sys.executable, "-m", "celery", "--quiet", "-A", "config", "worker", *options],
        surroundings=surroundings,
    )


def beat_program(surroundings: Surroundings) -> Program:
    """Describe Celery's clock; its schedule is in memory, because its file would be a pickle."""
    options = ["--loglevel", "INFO", "--scheduler", "celery.beat:Scheduler"]
    return Program(
        name="beat",
        argv=[sys.executable, "-m", "celery", "--quiet", "-A", "config", "beat", *options],
        surroundings=surroundings,
    )


def management_program(surroundings: Surroundings, *, words: Sequence[str]) -> Program:
    """Describe one management command that runs once, on our terminal."""
    return Program(
        name=words[0],
        argv=[sys.executable, "manage.py", *words],
        surroundings=surroundings,
        is_kept_running=False,
        is_prefixed=False,
    )


def find_free_port(host: str, *, wanted: int) -> int:
    """Return the first free port from `wanted` upwards.

    Raises:
        ServerError: A hundred ports are taken, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last_error = OSError("no port tried")
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        try:
            with socket.create_server((host, port), family=family):
                return port
        except OSError as error:
            last_error = error
    raise ServerError(f"No port from {wanted} upwards can be used on {host}: {last_error}.")


def address(host: str, port: int) -> str:
    """Return the address to type into a browser on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def wait_for_answer(site_url: str, *, supervisor: Supervisor, report: Report) -> float:
    """Wait until `/healthz` answers 200, and return the seconds that it took.

    Raises:
        ServerError: It does not; the programs' own output says why.
    """

    def is_answering() -> bool:
        supervisor.poll(now=time.monotonic())
        return _is_healthy(site_url.removeprefix("http://"))

    return wait_until(
        is_answering,
        what="The site is starting",
        timeout_seconds=ANSWER_SECONDS,
        report=report,
        pause_seconds=POLL_SECONDS,
    )


def watch(supervisor: Supervisor, *, revive: Callable[[], None]) -> None:
    """Look after programs and servers until Ctrl-C (KeyboardInterrupt).

    Args:
        supervisor: The programs.
        revive: Restarts servers that have ended.
    """
    while True:
        revive()
        supervisor.poll(now=time.monotonic())
        time.sleep(POLL_SECONDS)


def heed_signals() -> None:
    """Treat SIGTERM and a closed terminal like Ctrl-C: all raise KeyboardInterrupt."""
    for number in _STOP_SIGNALS:
        # `nohup` ignores SIGHUP for us, and means it.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def stopping(supervisor: Supervisor) -> Iterator[None]:
    """Stop the programs at the end of the block, even if Ctrl-C is pressed again."""
    try:
        yield
    finally:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # Every wait ahead is bounded.
        supervisor.stop()


def environment_for(site_url: str, *, database_url: str, redis_url: str) -> dict[str, str]:
    """Return our environment with the servers' addresses and the site's own."""
    return {
        "PYTHONWARNINGS": HUSHED,
        "HTTPS": "no",  # Unless ours says otherwise: nothing in front of it speaks TLS.
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OFFERLAB_SITE_URL": site_url,
        "PYTHONUNBUFFERED": "1",
    }


def _is_healthy(host_and_port: str) -> bool:
    connection = http.client.HTTPConnection(host_and_port, timeout=5.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
