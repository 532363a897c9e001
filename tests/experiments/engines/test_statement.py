import duckdb
import pytest
from sqlglot.errors import ParseError

from experiments.engines.statement import parse_statement

READS = """
    WITH own AS (SELECT id FROM audience_customer)
    SELECT event.properties ->> 'a.b', event.properties ->> 'it''s', who.attributes ->> 'plan'
    FROM audience_event AS event JOIN own ON own.id = event.customer_id
    JOIN experiments_exposure AS exposure USING (customer_id)
    WHERE exposure.experiment_id = 12 OR experiment_id = 7 OR experiment_id = other.id
"""


def test_a_statement_reads_what_it_does_not_define() -> None:
    expected = {"audience_customer", "audience_event", "experiments_exposure"}
    assert parse_statement(READS).relations == expected


def test_a_statement_names_its_experiments() -> None:
    assert parse_statement(READS).experiments == {7, 12}


def test_a_statement_names_the_keys_of_each_json_column() -> None:
    statement = parse_statement(READS)
    assert statement.keys("properties") == ["a.b", "it's"]
    assert statement.keys("attributes") == ["plan"]


@pytest.mark.parametrize(
    "look_up",
    [
        "properties ->> 0",
        "properties ->> 'a' ->> 'b'",
        "(properties -> 'a') ->> 'b'",
        "other_name ->> 'a'",
    ],
)
def test_only_texts_at_the_top_of_a_known_column_can_be_asked_for(look_up: str) -> None:
    statement = parse_statement(f"SELECT {look_up} FROM audience_event")
    with pytest.raises(ValueError, match="Of JSON only a property or attribute is known"):
        statement.to_dialect("duckdb")


def test_what_is_no_statement_is_refused() -> None:
    with pytest.raises(ParseError):
        parse_statement("SELECT FROM WHERE (")


def test_a_look_up_becomes_one_in_a_map() -> None:
    written = parse_statement("SELECT properties ->> 'it''s' AS x FROM e").to_dialect("duckdb")
    events = "WITH e AS (SELECT MAP {'it''s': 'red'} AS properties)"
    assert duckdb.execute(f"{events} {written}").fetchall() == [("red",)]


def test_texts_are_in_the_order_of_their_bytes() -> None:
    written = parse_statement('SELECT x FROM t ORDER BY x COLLATE "C"').to_dialect("duckdb")
    rows = duckdb.execute(f"WITH t AS (SELECT unnest(['b', 'B', 'é', 'a']) AS x) {written}")
    assert rows.fetchall() == [("B",), ("a",), ("b",), ("é",)]


def test_spark_interpolates_quantiles_as_the_others_do() -> None:
    written = parse_statement(
        "SELECT percentile_cont(ARRAY[0.1, 0.5]) WITHIN GROUP (ORDER BY x) FILTER (WHERE y) FROM t"
    ).to_dialect("spark")
    assert written == "SELECT PERCENTILE(x, ARRAY(0.1, 0.5)) FILTER(WHERE y) FROM t"


@pytest.mark.parametrize(
    ("pattern", "java"), [("^a$", "^a\\\\z"), ("^a[$]", "^a[$]"), (r"^a\$", r"^a\\$")]
)
def test_the_end_of_a_text_is_the_end_in_spark_too(pattern: str, java: str) -> None:
    written = parse_statement(f"SELECT x ~ '{pattern}' FROM t").to_dialect("spark")
    assert written == f"SELECT x RLIKE '{java}' FROM t"
