"""Rules can be asked for whom the decide API finds, in the statement that finds them."""

import asyncio
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.customers.finding import Found, Name
from audience.customers.meeting import find
from audience.models import Customer
from audience.rules import Person, Rule, holds, parse_rule
from audience.rules.nesting import inline
from audience.rules.sql import holds_for
from tests.audience.rules.random_people import fill
from tests.audience.rules.random_rules import NOW, chance, rule

pytestmark = pytest.mark.django_db(transaction=True)


async def ask(
    pool: AsyncConnectionPool[AsyncConnection[Any]], keys: list[str], rules: list[Rule]
) -> list[Found]:
    compiled = [
        holds_for(each, now="%(now)s::timestamptz", prefix=f"audience{n}")
        for n, each in enumerate(rules)
    ]
    params: dict[str, Any] = {"now": NOW}
    for each in compiled:
        params |= each.params
    besides = "".join(f", {each.sql}" for each in compiled)
    names = [Name(customer_key=key) for key in keys] + [Name(anonymous_id="nobody-yet")]
    async with pool.connection() as connection:
        return list(await find(connection, names, besides=besides, params=params))


def test_rules_are_answered_where_customers_are_met(
    pool: AsyncConnectionPool[AsyncConnection[Any]], runner: asyncio.Runner
) -> None:
    rng = chance(21)
    people, lists = fill(rng, customers=20)
    keys = dict(Customer.objects.filter(pk__in=people).values_list("external_key", "pk"))
    written = [rule(rng, lists=list(lists)) for _ in range(100)]
    parsed = [inline(parse_rule(each), lists.get) for each in written]
    for n in range(0, len(parsed), 10):
        found = runner.run(ask(pool, list(keys), parsed[n : n + 10]))
        for each in found:
            answers = list(each.besides or ())
            # Of a stranger nothing is known.
            person = people[keys[each.key]] if each.id else Person()
            expected = [holds(r, person, now=NOW) for r in parsed[n : n + 10]]
            assert answers == expected, written[n : n + 10]
