"""Give the tests a throwaway PostgreSQL and Valkey before Django reads its settings.

Loaded with `-p tests.services`. Servers named by `DATABASE_URL` and `REDIS_URL` are used as they
are. With xdist the controller starts the servers and the workers inherit their addresses.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pytest

from config.embedded.services import EmbeddedServices


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Start what is missing; a wrapper runs before pytest-django's hook, which loads settings."""
    options = early_config.known_args_namespace
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        if "REDIS_URL" in os.environ:
            url = os.environ["REDIS_URL"]
            os.environ["REDIS_URL"] = own_redis_url(url, worker=worker)
    elif not (options.help or options.version or options.collectonly):
        stack = ExitStack()
        # Unlike pytest_unconfigure, this is called even if settings or options are bad.
        early_config.add_cleanup(stack.close)
        start_missing(stack)
    return (yield)


def start_missing(stack: ExitStack) -> None:
    """Start the servers that no variable names, and name them in the environment.

    Args:
        stack: Its end stops the servers and removes their files.
    """
    wanted = {name: not _is_set(name) for name in ("DATABASE_URL", "REDIS_URL")}
    if not any(wanted.values()):
        return
    data_dir = Path(tempfile.mkdtemp(prefix="offerlab-tests-"))
    with ExitStack() as starting:
        starting.callback(shutil.rmtree, data_dir, ignore_errors=True)
        services = starting.enter_context(
            EmbeddedServices(
                data_dir,
                postgres_bin=_postgres_bin(),
                with_postgres=wanted["DATABASE_URL"],
                with_valkey=wanted["REDIS_URL"],
                is_durable=False,
                report=lambda message: None,
            )
        )
        if wanted["DATABASE_URL"]:
            os.environ["DATABASE_URL"] = services.database_url
        if wanted["REDIS_URL"]:
            os.environ["REDIS_URL"] = services.redis_url
        for name in (name for name, is_wanted in wanted.items() if is_wanted):
            starting.callback(os.environ.pop, name, None)
        stack.enter_context(starting.pop_all())


def own_redis_url(url: str, *, worker: str) -> str:
    """Give an xdist worker ("gw3") a Redis database that no other worker uses.

    The number counts on from the one in the URL, so a server of yours needs as many databases.
    """
    index = int(worker.removeprefix("gw"))
    parts = urlsplit(url)
    if parts.scheme == "unix":
        number = int(parse_qs(parts.query).get("db", ["0"])[-1])
        return f"unix://{parts.path}?db={number + index}"
    number = int(parts.path.strip("/") or 0)
    return urlunsplit(parts._replace(path=f"/{number + index}"))


def _is_set(name: str) -> bool:
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def _postgres_bin() -> Path | None:
    directory = os.environ.get("OFFERLAB_POSTGRES_BIN")
    return Path(directory) if directory else None
