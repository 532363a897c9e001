"""Starts the whole site on loopback: PostgreSQL, Valkey and one server, thrown away afterwards."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.embedded.services import EmbeddedServices

ROOT = Path(__file__).resolve().parents[2]
SPECS = ROOT.parent / "shared" / "specs" / "openfeature"


@dataclass(frozen=True, slots=True)
class Site:
    """A site that runs: where, with which key, and with what a process of ours has to know."""

    address: str
    key: str
    environment: Mapping[str, str]
    directory: Path

    def shell(self, code: str) -> str:
        """Run Python with our models, and return what it prints."""
        return _shell(code, self.environment)


@contextmanager
def serving(setup: str) -> Iterator[Site]:
    """Fill a new site by Python code that uses our models, and serve it."""
    with (
        tempfile.TemporaryDirectory(prefix="offerlab-conformance-") as name,
        EmbeddedServices(Path(name), report=print) as services,
    ):
        environment = {
            **os.environ,
            "DATABASE_URL": services.database_url,
            "REDIS_URL": services.redis_url,
            "OFFERLAB_DATA_DIR": name,
            "SECRET_KEY": secrets.token_urlsafe(32),
            "HTTPS": "no",
            "LOG_LEVEL": "ERROR",
        }
        migrate = [sys.executable, "manage.py", "migrate", "-v", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
        key = _shell(f"{setup}\n{PRINT_KEY}", environment).split("KEY=")[1].strip()
        port = _free_port()
        options = ["--interface", "asgi", "--workers", "1", "--no-ws", "--port", str(port)]
        server = subprocess.Popen(
            [sys.executable, "-m", "granian", *options, "config.asgi:application"],
            cwd=ROOT,
            env=environment,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_up(address)
            yield Site(address, key, environment, Path(name))
        finally:
            server.terminate()
            server.wait()


PRINT_KEY = """
from audience.keys import create_source
from audience.models import Kind, Scope
print("KEY=" + create_source("conformance", scopes=list(Scope), kind=Kind.ADMIN)[1])
"""


def _shell(code: str, environment: Mapping[str, str]) -> str:
    shell = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", code],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return shell.stdout


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _wait_until_up(address: str) -> None:
    for _ in range(150):
        try:
            urllib.request.urlopen(f"{address}/healthz").close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("The server did not start.")
