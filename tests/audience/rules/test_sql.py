"""The people whom PostgreSQL finds are those for whom the rule holds."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection

from audience.models import Customer
from audience.rules import Person, Rule, holds, parse_rule
from audience.rules.grammar import Listed
from audience.rules.nesting import inline
from audience.rules.sql import IDS, holds_for, members_of
from tests.audience.rules.random_people import fill
from tests.audience.rules.random_rules import NOW, chance, rule
from tests.makers import make_customer, make_customers, make_event, merge

pytestmark = pytest.mark.django_db

ASK = """
    SELECT customer.id, ARRAY[{columns}]
    FROM audience_customer AS customer
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT customer.id UNION ALL
                     SELECT id FROM audience_customer WHERE merged_into_id = customer.id) AS ids
    ) AS person
    WHERE customer.merged_into_id IS NULL
"""


def ask(asked: Sequence[Rule]) -> dict[int, list[bool]]:
    """Evaluate rules for everybody as the decide API does for a few."""
    compiled = [
        holds_for(each, now="%(now)s::timestamptz", prefix=f"r{n}") for n, each in enumerate(asked)
    ]
    params: dict[str, Any] = {"now": NOW}
    for each in compiled:
        params |= each.params
    with connection.cursor() as cursor:
        cursor.execute(ASK.format(columns=", ".join(each.sql for each in compiled)), params)
        return dict(cursor.fetchall())


def find(asked: Rule) -> list[int]:
    compiled = members_of(asked, now=NOW)
    with connection.cursor() as cursor:
        cursor.execute(compiled.sql, compiled.params)
        return [id_ for (id_,) in cursor.fetchall()]


def compare(seed: int, *, customers: int, rules: int) -> None:
    rng = chance(seed)
    people, lists = fill(rng, customers=customers)
    written = [rule(rng, lists=list(lists)) for _ in range(rules)]
    parsed = [inline(parse_rule(each), lists.get) for each in written]
    meant = [
        {id_ for id_, person in people.items() if holds(each, person, now=NOW)} for each in parsed
    ]
    for n in range(0, rules, 25):
        answers = ask(parsed[n : n + 25])
        for number in range(n, min(n + 25, rules)):
            found = {id_ for id_, row in answers.items() if row[number - n]}
            assert found == meant[number], (written[number], found ^ meant[number])
    for given, each, ids in zip(written, parsed, meant, strict=True):
        found_ids = find(each)
        assert sorted(found_ids) == sorted(ids), (given, set(found_ids) ^ ids)
    # Rules that mean nobody or everybody would agree whatever the code does.
    assert sum(0 < len(ids) < customers for ids in meant) > rules / 3


def test_postgresql_and_the_evaluator_agree_on_20000_pairs() -> None:
    compare(1, customers=50, rules=400)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_postgresql_and_the_evaluator_agree_on_100000_pairs(seed: int) -> None:
    compare(seed, customers=100, rules=250)


def test_no_answer_is_null_for_whom_nothing_is_known() -> None:
    make_customer()
    rng = chance(0)
    parsed = [inline(parse_rule(rule(rng, lists=["x"])), {"x": Listed(1)}.get) for _ in range(50)]
    (answers,) = ask(parsed).values()
    assert None not in answers
    assert answers == [holds(each, Person(), now=NOW) for each in parsed]


@pytest.mark.parametrize("text", ["'; DROP TABLE x; --", "%s", "100%", "%(now)s", "\\", '"', "{}"])
def test_no_text_of_a_rule_is_taken_for_sql(text: str) -> None:
    customer = make_customer(attributes={text: text})
    make_event(customer, text, at=NOW, properties={text: text})
    named = {"is": "contain", "value": text}
    given = {
        "all": [
            {"attribute": text, **named},
            {"event": text, "at_least": 1, "where": [{"property": text, **named}]},
        ]
    }
    assert find(parse_rule(given)) == [customer.pk]


def test_a_person_is_found_once_and_by_what_any_name_did() -> None:
    visitor, customer = make_customers(2)
    make_event(visitor, "Order Completed", at=NOW, value=60)
    make_event(customer, "Order Completed", at=NOW, value=40)
    merge(visitor, into=customer)
    assert find(parse_rule({"total": "Order Completed", "at_least": 100})) == [customer.pk]
    assert find(parse_rule({"event": "Order Completed", "at_least": 2})) == [customer.pk]
    assert find(parse_rule({"event": "Order Completed", "at_most": 1})) == []
    assert find(parse_rule({})) == [customer.pk]


def test_sessions_with_daylight_saving_count_days_of_24_hours() -> None:
    customer = make_customer()
    make_event(customer, "Site Visited", at=NOW.replace(month=3, day=29, hour=12, minute=30))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TimeZone = 'Europe/Berlin'")
        # In Berlin the day before had 23 hours.
        now = NOW.replace(month=3, day=30, hour=12, minute=15)
        compiled = members_of(
            parse_rule({"event": "Site Visited", "at_least": 1, "days": 1}), now=now
        )
        cursor.execute(compiled.sql, compiled.params)
        assert cursor.fetchall() == [(customer.pk,)]


def test_rules_of_one_statement_are_told_apart() -> None:
    make_customer(attributes={"country": "DE"})
    both = [parse_rule({"attribute": "country", "is": "equal", "value": v}) for v in ("DE", "FR")]
    assert list(ask(both).values()) == [[True, False]]
    assert (
        holds_for(both[0], ids=IDS, prefix="a")
        .params.keys()
        .isdisjoint(holds_for(both[1], prefix="b").params)
    )


def test_jsonb_keeps_more_digits_than_a_rule_compares() -> None:
    customer = make_customer()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audience_customer SET attributes = %s::jsonb",
            ['{"a": 0.1000000000000000000001}'],
        )
        cursor.execute("SELECT attributes -> 'a' = '0.1' FROM audience_customer")
        assert cursor.fetchone() == (False,)
    assert find(parse_rule({"attribute": "a", "is": "equal", "value": 0.1})) == [customer.pk]
    assert Customer.objects.get().attributes == {"a": 0.1}
