"""Every engine gives the same rows for the same statement."""

import subprocess
import sys
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from audience.keeping.lake import extend_lake, open_duckdb, quoted
from config import environment
from config.settings import BASE_DIR
from experiments.engines import ENGINES, load_engine, run
from experiments.engines.snapshot import take_snapshot
from experiments.engines.statement import parse_statement
from tests.experiments.engines.statements import PEOPLE, STATEMENTS
from tests.experiments.engines.worlds import FIRST, World, assert_same_rows, make_world, receive
from tests.makers import DAY, HOUR, NOW, expose, make_customer, make_experiment
from tests.racing import other_sessions, wait_for_blocked

pytestmark = pytest.mark.django_db

needs_spark = pytest.mark.skipif(
    find_spec("pyspark") is None, reason="needs Java 17 and `pip install pyspark==4.0.1`"
)
# PySpark leaves a connection to Java open until Python ends.
leaves_sockets = pytest.mark.filterwarnings("ignore:Exception ignored in.*socket")
SPARK = [needs_spark, leaves_sockets, pytest.mark.slow]
LAKE_ENGINES = ["duckdb", pytest.param("spark", marks=SPARK)]
COUNT = f"WITH {PEOPLE} SELECT count(*), count(DISTINCT occurred_at) FROM happened"


@pytest.fixture
def lake(tmp_path: Path, settings: Settings) -> Path:
    settings.LAKE_DIR = tmp_path / "lake"
    return tmp_path / "lake"


def assert_engine_says_what_postgresql_says(
    engine: str, statement: str, world: World, *, since: datetime = FIRST
) -> None:
    actual, expected = (
        load_engine(name).run(world.ask(statement), experiment_id=world.experiment.pk, since=since)
        for name in (engine, "postgres")
    )
    assert_same_rows(actual, expected)


# --- the same rows ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("engine", LAKE_ENGINES)
def test_every_engine_says_the_same(name: str, engine: str, lake: Path) -> None:
    world = make_world(list(STATEMENTS).index(name), lake)
    assert_engine_says_what_postgresql_says(engine, STATEMENTS[name], world)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_duckdb_says_the_same_of_any_world(seed: int, lake: Path) -> None:
    world = make_world(seed, lake, people=seed % 7 * 20 + 1, events=seed % 5 * 300)
    for statement in STATEMENTS.values():
        assert_engine_says_what_postgresql_says("duckdb", statement, world)


@pytest.mark.parametrize("engine", LAKE_ENGINES)
def test_an_engine_needs_no_lake(engine: str, settings: Settings, tmp_path: Path) -> None:
    settings.LAKE_DIR = tmp_path / "lake"
    world = make_world(5, tmp_path / "lake")
    settings.LAKE_DIR = None
    assert_engine_says_what_postgresql_says(engine, STATEMENTS["every event"], world)


@pytest.mark.parametrize("engine", LAKE_ENGINES)
@pytest.mark.parametrize("days", [-20, 0, 10])
def test_leaving_old_files_out_changes_nothing_that_was_asked(
    days: int, engine: str, lake: Path
) -> None:
    since = NOW + timedelta(days=days)
    statement = f"{STATEMENTS['every event']} WHERE occurred_at >= TIMESTAMPTZ '{since}'"
    world = make_world(days, lake)
    assert_engine_says_what_postgresql_says(engine, statement, world, since=since)


@pytest.mark.django_db(transaction=True)
def test_a_run_sees_each_event_once_while_the_lake_grows(lake: Path) -> None:
    experiment, customer = make_experiment(), make_customer()
    expose(experiment, customer, "new", at=NOW)
    times = [NOW + hour * HOUR for hour in range(6)]
    receive([(time, customer.pk, "Seen", None, {}, time) for time in times])
    extend_lake(lake, lag=timezone.now() - NOW - 2 * HOUR)
    statement = COUNT.replace("EXPERIMENT", str(experiment.pk))

    with other_sessions(1) as session:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE experiments_exposure IN ACCESS EXCLUSIVE MODE")
            running = session(
                lambda: load_engine("duckdb").run(
                    statement, experiment_id=experiment.pk, since=FIRST
                )
            )
            # It has found the lake's files, and cannot yet read the rest.
            wait_for_blocked()
            extend_lake(lake, lag=timezone.now() - NOW - 4 * HOUR)
            extend_lake(lake, lag=timezone.now() - NOW - DAY)
        assert running.result(timeout=10) == [(6, 6)]


def test_only_the_people_of_the_experiment_are_copied(lake: Path, tmp_path: Path) -> None:
    world = make_world(3, lake)
    read = parse_statement(world.ask(STATEMENTS["segments"]))
    with open_duckdb(tmp_path) as duck:
        files = take_snapshot(duck, read, tmp_path, experiment_id=world.experiment.pk, since=FIRST)
        (customers,) = files["audience_customer"]
        copied = duck.execute(f"SELECT id, attributes FROM read_parquet({quoted(customers)})")
        attributes = dict(copied.fetchall())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM audience_customer WHERE COALESCE(merged_into_id, id) IN ("
            "    SELECT COALESCE(merged_into_id, c.id) FROM audience_customer AS c"
            "    JOIN experiments_exposure AS x ON x.customer_id = c.id WHERE experiment_id = %s)",
            [world.experiment.pk],
        )
        assert attributes.keys() == {id_ for (id_,) in cursor.fetchall()}
    # The statement asks for one attribute of many.
    assert {key for texts in attributes.values() for key in texts} == {"price"}


@pytest.mark.parametrize("engine", LAKE_ENGINES)
def test_a_transaction_lives_as_long_as_its_engine_works(engine: str, lake: Path) -> None:
    assert setting_of_postgresql("idle_in_transaction_session_timeout") != "0"
    with transaction.atomic():
        load_engine(engine).run(COUNT.replace("EXPERIMENT", "0"), experiment_id=0, since=FIRST)
        assert setting_of_postgresql("idle_in_transaction_session_timeout") == "0"


def test_a_lake_file_that_is_missing_is_an_error(lake: Path) -> None:
    world = make_world(4, lake)
    for file in lake.rglob("*.parquet"):
        file.unlink()
    with pytest.raises(duckdb.IOException, match="No files found"):
        load_engine("duckdb").run(world.ask(COUNT), experiment_id=world.experiment.pk, since=FIRST)


# --- PostgreSQL ------------------------------------------------------------------------------


def setting_of_postgresql(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        (setting,) = cursor.fetchone()
    return str(setting)


def test_postgresql_hashes_during_a_statement_and_not_after() -> None:
    engine = load_engine("postgres")
    rows = engine.run("SELECT current_setting('enable_nestloop')", experiment_id=1, since=FIRST)
    assert rows == [("off",)]
    assert setting_of_postgresql("enable_nestloop") == "on"


def test_a_statement_that_fails_leaves_the_planner_as_it_was() -> None:
    with pytest.raises(DataError):
        load_engine("postgres").run("SELECT 1 / 0", experiment_id=1, since=FIRST)
    assert setting_of_postgresql("enable_nestloop") == "on"


def test_a_per_cent_sign_is_one() -> None:
    rows = load_engine("postgres").run("SELECT '100%s %'", experiment_id=1, since=FIRST)
    assert rows == [("100%s %",)]


# --- choosing one ----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["postgres", *LAKE_ENGINES])
def test_the_settings_choose_the_engine(engine: str, settings: Settings) -> None:
    settings.ANALYTICS_ENGINE = engine
    statement = "SELECT count(*) FROM experiments_exposure WHERE experiment_id = 0"
    assert run(statement, experiment_id=0, since=FIRST) == [(0,)]
    assert type(load_engine(engine)).__module__ == f"experiments.engines.{engine}"


def test_the_settings_know_every_engine() -> None:
    text = (BASE_DIR / "config" / "settings.py").read_text()
    for name in ENGINES:
        assert f'"{name}"' in text


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="No engine is called 'abacus'; there are: postgres, "):
        load_engine("abacus")


def test_a_setting_is_one_of_a_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_ENGINE", "steam")
    assert environment.choice("SOME_ENGINE", ("diesel", "steam"), "diesel") == "steam"
    assert environment.choice("NO_ENGINE", ("diesel", "steam"), "diesel") == "diesel"
    with pytest.raises(
        ImproperlyConfigured, match="SOME_ENGINE must be one of diesel, not 'steam'"
    ):
        environment.choice("SOME_ENGINE", ("diesel",), "diesel")


@pytest.mark.skipif(find_spec("pyspark") is not None, reason="PySpark is installed")
def test_without_pyspark_the_error_says_what_to_install() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"Java 17 and `pip install pyspark==4\.0\.1`"):
        load_engine("spark")


def test_asking_for_an_engine_loads_no_other() -> None:
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, django; from django.conf import settings; settings.configure();"
            "from experiments.engines import load_engine; load_engine('postgres');"
            "print([m for m in ('duckdb', 'sqlglot', 'pyspark') if m in sys.modules])",
        ],
        cwd=BASE_DIR,
        check=True,
        capture_output=True,
        text=True,
    )
    assert loaded.stdout.strip() == "[]"
