"""Runs analysis statements in DuckDB, over the lake, on this machine."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audience.keeping.lake import open_duckdb, quoted
from experiments.engines.base import to_plain_rows
from experiments.engines.snapshot import take_snapshot
from experiments.engines.statement import parse_statement


class DuckDBEngine:
    """Reads events from the lake's files: good up to what one machine can scan."""

    def run(self, statement: str, *, experiment_id: int, since: datetime) -> list[tuple[Any, ...]]:
        """Run a statement over the lake and a copy of what is not in it."""
        read = parse_statement(statement)
        with TemporaryDirectory() as scratch, open_duckdb(Path(scratch)) as duck:
            relations = take_snapshot(
                duck, read, Path(scratch), experiment_id=experiment_id, since=since
            )
            for name, files in relations.items():
                listed = ", ".join(map(quoted, files))
                duck.execute(
                    f"CREATE VIEW {name} AS "
                    f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false)"
                )
            return to_plain_rows(duck.execute(read.to_dialect("duckdb")).fetchall())
