"""The engines that analyse events: one line adds one."""

from datetime import datetime
from importlib import import_module
from typing import Any

from django.conf import settings

from experiments.engines.base import Engine

# Dotted paths, so that only a process that analyses loads DuckDB or starts Java.
ENGINES: dict[str, str] = {
    "postgres": "experiments.engines.postgres.PostgresEngine",
    "duckdb": "experiments.engines.duckdb.DuckDBEngine",
    "spark": "experiments.engines.spark.SparkEngine",
}


def load_engine(name: str) -> Engine:
    """Import an engine and make it.

    Raises:
        ValueError: No engine has this name.
        ImproperlyConfigured: What it needs is not installed.
    """
    if name not in ENGINES:
        raise ValueError(f"No engine is called {name!r}; there are: {', '.join(ENGINES)}.")
    module, _, attribute = ENGINES[name].rpartition(".")
    engine: Engine = getattr(import_module(module), attribute)()
    return engine


def run(statement: str, *, experiment_id: int, since: datetime) -> list[tuple[Any, ...]]:
    """Run an analysis statement on the engine that the settings name; see `Engine.run`."""
    engine = load_engine(settings.ANALYTICS_ENGINE)
    return engine.run(statement, experiment_id=experiment_id, since=since)
