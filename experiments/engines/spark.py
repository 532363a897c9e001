"""Runs analysis statements in Spark, over the lake, on as many machines as Spark has."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from audience.keeping.lake import open_duckdb
from experiments.engines.base import to_plain_rows
from experiments.engines.snapshot import take_snapshot
from experiments.engines.statement import parse_statement

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SparkEngine:
    """Reads events from the lake's files, which every machine of the cluster must see.

    Where the cluster is, is Spark's own setting (`spark.master`); without one it runs here.
    """

    def __init__(self) -> None:
        """Load PySpark.

        Raises:
            ImproperlyConfigured: It is not installed.
        """
        try:
            self._sql = import_module("pyspark.sql")
        except ModuleNotFoundError as error:
            raise ImproperlyConfigured(
                "The analytics engine spark needs Java 17 and `pip install pyspark==4.0.1`."
            ) from error

    def run(self, statement: str, *, experiment_id: int, since: datetime) -> list[tuple[Any, ...]]:
        """Run a statement over the lake and a copy of what is not in it."""
        read = parse_statement(statement)
        with TemporaryDirectory() as scratch:
            with open_duckdb(Path(scratch)) as duck:
                relations = take_snapshot(
                    duck, read, Path(scratch), experiment_id=experiment_id, since=since
                )
            # A session of its own, so that two runs do not share the names of relations.
            session = self._sql.SparkSession.builder.appName("offerlab").getOrCreate().newSession()
            session.conf.set("spark.sql.session.timeZone", "UTC")
            for name, files in relations.items():
                # Folders say the day of receipt, which is no column.
                frame = session.read.option("recursiveFileLookup", "true").parquet(*files)
                frame.createOrReplaceTempView(name)
            return _collect(session.sql(read.to_dialect("spark")))


def _collect(frame: Any) -> list[tuple[Any, ...]]:
    """Fetch a frame's rows; PySpark gives times without a zone, so that they come as numbers."""
    names = [f"c{index}" for index in range(len(frame.columns))]
    frame = frame.toDF(*names)
    times = [field.dataType.typeName() == "timestamp" for field in frame.schema.fields]
    fetched = frame.selectExpr(
        *(
            f"unix_micros({name})" if is_time else name
            for name, is_time in zip(names, times, strict=True)
        )
    ).collect()
    return to_plain_rows(
        [
            tuple(
                _EPOCH + timedelta(microseconds=value) if is_time and value is not None else value
                for value, is_time in zip(row, times, strict=True)
            )
            for row in fetched
        ]
    )
