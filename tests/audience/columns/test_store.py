"""The columns in memory find whom the rules mean, and follow what changes."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from django.utils import timezone

from audience.columns import reading
from audience.columns.store import MOST_COLUMNS, Store
from audience.incoming import Incoming
from audience.keeping.forgetting import forget_events
from audience.keeping.partitions import event_partition, make_partitions, month_of
from audience.models import Customer, Erasure, Membership
from audience.rules import holds, parse_rule
from audience.rules.nesting import inline
from tests.audience.audiences.test_saving import make_list
from tests.audience.conftest import Store as Intake
from tests.audience.rules.random_people import fill
from tests.audience.rules.random_rules import NOW, chance, rule
from tests.makers import DAY, make_customer, make_customers, make_event, merge

ORDERED = {"event": "Order Completed", "at_least": 1}
DE = {"attribute": "country", "is": "equal", "value": "DE"}


def find(store: Store, *rules: Any) -> list[set[int]]:
    found = store.find([parse_rule(each) for each in rules])
    return [set(found.ids[mask].tolist()) for mask in found.masks]


def compare(seed: int, *, customers: int, rules: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "read_now", lambda: NOW)
    rng = chance(seed)
    store = Store()
    people, lists = fill(rng, customers=customers)
    written = [rule(rng, lists=list(lists)) for _ in range(rules)]
    parsed = [inline(parse_rule(each), lists.get) for each in written]
    for n in range(0, rules, 20):
        found = store.find(parsed[n : n + 20])
        for given, each, mask in zip(
            written[n : n + 20], parsed[n : n + 20], found.masks, strict=True
        ):
            meant = {id_ for id_, person in people.items() if holds(each, person, now=NOW)}
            assert set(found.ids[mask].tolist()) == meant, given


@pytest.mark.django_db
def test_columns_and_the_evaluator_agree_on_20000_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    compare(11, customers=50, rules=400, monkeypatch=monkeypatch)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(12, 16))
def test_columns_and_the_evaluator_agree_on_100000_pairs(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(seed, customers=100, rules=250, monkeypatch=monkeypatch)


@pytest.mark.django_db
def test_nobody_is_found_where_nobody_is() -> None:
    assert find(Store(), {}, DE, ORDERED, {"not": DE}) == [set()] * 4


@pytest.mark.django_db
def test_sums_beyond_the_precision_of_floats_are_exact() -> None:
    customer = make_customer()
    for value in (9e14, 9e14, 9e14, 0.01):
        make_event(customer, "Paid", at=NOW, value=value)
    for value in (-9e14, -9e14, -9e14):
        make_event(customer, "Paid", at=NOW, value=value)
    store = Store()
    assert find(store, {"total": "Paid", "at_least": 0.01}) == [{customer.pk}]
    assert find(store, {"total": "Paid", "at_least": 0.02}) == [set()]
    assert find(store, {"total": "Paid", "at_most": 0.01}) == [{customer.pk}]
    assert find(store, {"total": "Paid", "at_most": 0}) == [set()]


@pytest.mark.django_db
def test_sums_of_cents_have_no_noise() -> None:
    customer = make_customer()
    for _ in range(3):
        make_event(customer, "Paid", at=NOW, value=0.1)
    store = Store()
    assert find(store, {"total": "Paid", "at_least": 0.3}) == [{customer.pk}]
    assert find(store, {"total": "Paid", "at_most": 0.3}) == [{customer.pk}]


@pytest.mark.django_db(transaction=True)
def test_many_late_events_are_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audience.columns.happenings.MOST_UNSORTED", 4)
    ann, ben = make_customers(2)
    store = Store()
    where = [{"property": "kind", "is": "equal", "value": "a"}]
    lately = {**ORDERED, "days": 10, "where": where}
    assert find(store, lately) == [set()]
    now = timezone.now()
    for n in range(12):
        kind = "a" if n == 5 else "b"
        at = now - ((n * 7) % 12 + 5) * DAY
        make_event(ann if n % 2 else ben, "Order Completed", at=at, properties={"kind": kind})
        find(store, lately)
    recent = {**ORDERED, "days": 8}
    assert find(store, lately, {**ORDERED, "where": where}) == [set(), {ann.pk}]
    assert find(store, recent) == [
        {(ann if n % 2 else ben).pk for n in range(12) if (n * 7) % 12 + 5 < 8}
    ]


@pytest.mark.django_db
def test_answers_are_remembered_and_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audience.columns.coded.MOST_REMEMBERED", 2)
    customer = make_customer(attributes={"country": "abc"})
    store = Store()
    for part in ("a", "b", "c", "d", "a", "a"):
        contains = {"attribute": "country", "is": "contain", "value": part}
        assert find(store, contains) == [{customer.pk} if part != "d" else set()]


def change(customer: Customer, **values: Any) -> None:
    Customer.objects.filter(pk=customer.pk).update(updated_at=timezone.now(), **values)


@pytest.mark.django_db(transaction=True)
def test_what_changes_is_followed() -> None:
    store = Store()
    ann, ben = make_customers(2)
    category = {**ORDERED, "where": [{"property": "kind", "is": "equal", "value": "a"}]}
    asked = (DE, ORDERED, category, {"not": DE})
    assert find(store, *asked) == [set(), set(), set(), {ann.pk, ben.pk}]
    change(ann, attributes={"country": "DE"})
    make_event(ben, "Order Completed", at=timezone.now(), properties={"kind": "a"})
    eva = make_customer(attributes={"country": "DE"})
    make_event(eva, "Order Completed", at=timezone.now(), properties={"kind": "b"})
    once = find(store, *asked)
    assert once == [{ann.pk, eva.pk}, {ben.pk, eva.pk}, {ben.pk}, {ben.pk}]
    # What came lately is read again each time, and counts once.
    twice = {"event": "Order Completed", "at_least": 2}
    assert find(store, twice, *asked) == [set(), *once]
    make_event(ben, "Order Completed", at=timezone.now())
    assert find(store, twice) == [{ben.pk}]
    change(ann, attributes={})
    assert find(store, DE) == [{eva.pk}]
    change(eva, merged_into=ben)
    assert find(store, DE, ORDERED, {}) == [set(), {ben.pk}, {ann.pk, ben.pk}]


@pytest.mark.django_db(transaction=True)
def test_what_is_committed_late_is_found(runner: asyncio.Runner) -> None:
    make_customer()
    store = Store()
    assert find(store, DE) == [set()]
    with transaction.atomic():
        # Another connection's look while this transaction has written and not committed.
        ann = make_customer(attributes={"country": "DE"})
        with connection.cursor() as cursor:
            cursor.execute("SELECT now() <= statement_timestamp()")
        runner.run(asyncio.to_thread(ask_elsewhere, store))
    assert find(store, DE) == [{ann.pk}]


def ask_elsewhere(store: Store) -> None:
    """Ask from a thread, which has a connection of its own."""
    try:
        assert find(store, DE) == [set()]
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_what_the_intake_stores_is_found(store: Intake) -> None:
    columns = Store()
    traits = {"country": "DE"}
    assert find(columns, DE, ORDERED) == [set(), set()]
    now = timezone.now()
    store(Incoming("m1", now, anonymous_id="browser", name="Order Completed", value=3.0))
    (visitor,) = find(columns, ORDERED)[0]
    store(Incoming("m2", now, customer_key="ann", anonymous_id="browser", traits=traits))
    ann = Customer.objects.get(external_key="ann")
    assert visitor != ann.pk
    assert find(columns, DE, ORDERED) == [{ann.pk}, {ann.pk}]


@pytest.mark.django_db(transaction=True)
def test_a_changed_list_is_read_anew() -> None:
    ann, ben = make_customers(2)
    audience = make_list(ann)
    store = Store()
    rule = inline(parse_rule({"audience": "list"}), {"list": _listed(audience.pk)}.get)
    assert _ids(store, [rule]) == [{ann.pk}]
    Membership.objects.create(audience=audience, customer=ben)
    type(audience).objects.update(version=2)
    assert _ids(store, [rule]) == [{ann.pk, ben.pk}]


def _listed(pk: int) -> Any:
    from audience.rules.grammar import Listed

    return Listed(pk)


def _ids(store: Store, rules: Sequence[Any]) -> list[set[int]]:
    found = store.find(rules)
    return [set(found.ids[mask].tolist()) for mask in found.masks]


@pytest.mark.django_db(transaction=True)
def test_who_was_erased_is_gone_from_memory() -> None:
    ann, ben = make_customers(2, attributes={"country": "DE"})
    store = Store()
    assert find(store, DE) == [{ann.pk, ben.pk}]
    erasure = Erasure.objects.create(
        key_hash=b"x" * 32, customer_id=ann.pk, requested_by="somebody"
    )
    assert find(store, DE) == [{ann.pk, ben.pk}]
    with transaction.atomic():
        ann.delete()
        Erasure.objects.filter(pk=erasure.pk).update(customer_id=None, erased_at=NOW)
    assert find(store, DE, {}) == [{ben.pk}] * 2


@pytest.mark.django_db(transaction=True)
def test_a_month_that_is_emptied_is_gone_from_memory() -> None:
    customer = make_customer()
    make_event(customer, "Order Completed", at=NOW - 400 * DAY)
    store = Store()
    assert find(store, ORDERED) == [{customer.pk}]
    assert forget_events(before=NOW - 300 * DAY) == 1
    assert find(store, ORDERED) == [set()]


@pytest.mark.django_db(transaction=True)
def test_a_month_that_is_dropped_is_gone_from_memory() -> None:
    customer = make_customer()
    long_ago = NOW - 400 * DAY
    make_event(customer, "Order Completed", at=long_ago)
    store = Store()
    assert find(store, ORDERED) == [{customer.pk}]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE audience_event_{month_of(long_ago):%Y_%m}")
    assert find(store, ORDERED) == [set()]
    with transaction.atomic():
        make_partitions([event_partition(month_of(long_ago))])


@pytest.mark.django_db(transaction=True)
def test_everything_is_read_anew_after_some_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    customer = make_customer()
    store = Store()
    assert find(store, DE) == [set()]
    # As a clock would do it that was set back for a while.
    long_ago = timezone.now() - DAY
    Customer.objects.update(attributes={"country": "DE"}, updated_at=long_ago)
    assert find(store, DE) == [set()]
    monkeypatch.setattr("audience.columns.store.RENEWED_AFTER", timedelta(0))
    assert find(store, DE) == [{customer.pk}]


@pytest.mark.django_db(transaction=True)
def test_more_changes_than_can_be_followed_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audience.columns.store.MOST_CHANGES", 3)
    store = Store()
    assert find(store, DE, ORDERED) == [set(), set()]
    people = make_customers(5, attributes={"country": "DE"})
    assert find(store, DE) == [{each.pk for each in people}]
    for each in people:
        make_event(each, "Order Completed", at=timezone.now())
    assert find(store, ORDERED) == [{each.pk for each in people}]


@pytest.mark.django_db
def test_what_was_not_asked_for_longest_makes_room() -> None:
    make_customer(attributes={f"a{n}": 1 for n in range(MOST_COLUMNS + 5)})
    store = Store()
    for n in range(MOST_COLUMNS + 5):
        (found,) = find(store, {"attribute": f"a{n}", "is": "equal", "value": 1})
        assert len(found) == 1
    assert len(store._world.attributes) == MOST_COLUMNS
    assert "a0" not in store._world.attributes


@pytest.mark.django_db
def test_a_question_that_fails_leaves_nothing_half_read(monkeypatch: pytest.MonkeyPatch) -> None:
    customer = make_customer(attributes={"country": "DE"})
    store = Store()
    with monkeypatch.context() as patch:
        patch.setattr(reading, "read_attributes", lambda paths: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            find(store, DE)
    assert find(store, DE) == [{customer.pk}]
    store.forget()
    assert find(store, DE) == [{customer.pk}]


@pytest.mark.django_db
def test_a_moment_is_said_and_names_of_others_are_no_people() -> None:
    visitor, customer = make_customers(2)
    merge(visitor, into=customer)
    before = timezone.now() - timedelta(seconds=60)
    found = Store().find([parse_rule({})])
    assert found.at >= before
    assert found.ids[found.masks[0]].tolist() == [customer.pk]
    assert found.masks[0].dtype == np.bool_
