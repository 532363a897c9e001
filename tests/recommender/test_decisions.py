"""A decision is logged as it was made, with the reward that it waits for, or not at all."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection
from psycopg import AsyncConnection

from audience.keeping.partitions import make_partitions, month_of
from audience.models import Customer
from recommender.decision_ids import decision_partition
from recommender.decisions import Logged, copy_decisions, log_decisions
from recommender.models import Decision, Reward
from tests.makers import HOUR, NOW, log_all, logged, make_customer, make_decision, make_policy


def elsewhere(work: Callable[[AsyncConnection[Any]], Awaitable[object]]) -> None:
    """Do something through a connection of the kind that the decide API has."""

    async def connected() -> None:
        name = connection.settings_dict["NAME"]
        async with await AsyncConnection.connect(settings.DATABASE_URL, dbname=name) as session:
            await work(session)

    asyncio.run(connected())


def log_elsewhere(decisions: Sequence[Logged]) -> None:
    """Log as the decide API does."""
    elsewhere(lambda session: log_decisions(session, decisions))


def copy_elsewhere(decisions: Sequence[Logged]) -> None:
    """Log as the assigning of whole audiences does."""
    ids = dict(Customer.objects.values_list("external_key", "id"))
    elsewhere(
        lambda session: copy_decisions(session, [(ids[d.customer_key], d) for d in decisions])
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("log", [log_elsewhere, copy_elsewhere])
def test_every_field_comes_back_exactly(log: Callable[[Sequence[Logged]], None]) -> None:
    policy, customer = make_policy(), make_customer()
    make_partitions([decision_partition(month_of(NOW))])
    made = replace(
        logged(policy, customer, "blue", at=NOW),
        propensity=0.1 + 0.2,
        weights=[0.7, 0.1 + 0.2],
        features=[1.0, -1e-17, 1e300],
        reasons=["drawn by policy version 3", 'it said "hello" \\ ✓'],
        policy_version=3,
        held_back=True,
        products=["p-1", 'a "second" \\'],
        ranker_version=7,
    )
    log([made])
    row = Decision.objects.get()
    for name in Logged.__slots__:
        if name != "due_at":
            kept = row.customer.external_key if name == "customer_key" else getattr(row, name)
            sent = getattr(made, name)
            assert kept == (list(sent) if isinstance(sent, tuple) else sent), name
    assert Reward.objects.get(decision=row).due_at == NOW + HOUR


@pytest.mark.django_db
def test_a_decision_without_a_policy_waits_for_no_reward() -> None:
    decision = replace(logged(make_policy(), make_customer(), "red", at=NOW), policy_id=None)
    log_all([decision])
    assert Decision.objects.count() == 1
    assert not Reward.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("propensity", [0.0, 1.5, -0.1])
def test_what_is_no_probability_is_refused(propensity: float) -> None:
    decision = logged(make_policy(), make_customer(), "red", at=NOW)
    with pytest.raises(IntegrityError, match="propensity_is_a_probability"):
        log_all([replace(decision, propensity=propensity)])


@pytest.mark.django_db
def test_a_decision_says_what_it_was() -> None:
    policy, customer = make_policy(), make_customer()
    assert str(make_decision(policy, customer, "red", at=NOW)) == "red (50.00%)"
    assert str(make_decision(policy, customer, None, at=NOW)) == "no offer (100.00%)"
    assert str(Reward.objects.first()) == "pending"
    assert str(Reward(value=2.5)) == "2.5"


@pytest.mark.django_db(transaction=True)
def test_decisions_are_logged_together_or_not_at_all() -> None:
    policy, customer = make_policy(), make_customer()
    log_all([first := logged(policy, customer, "red", at=NOW)])
    second = logged(policy, customer, "red", at=NOW)
    impossible = replace(second, propensity=2.0)

    with pytest.raises(psycopg.errors.CheckViolation):
        log_elsewhere([logged(policy, customer, "red", at=NOW), impossible])
    assert [row.pk for row in Decision.objects.all()] == [first.id]

    log_elsewhere([second])
    assert Reward.objects.count() == Decision.objects.count() == 2


@pytest.mark.django_db
def test_what_was_logged_before_stays_as_it_was() -> None:
    policy, customer = make_policy(), make_customer()
    first = logged(policy, customer, "red", at=NOW)
    log_all([first])
    log_all([replace(first, offer="blue"), logged(policy, customer, "blue", at=NOW)])
    assert Decision.objects.get(pk=first.id).offer == "red"
    assert Reward.objects.count() == Decision.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("keys", [[], ["null"], ["a", 'b"c', "d\\e", "f,g", "{h}", ""]])
def test_keys_of_every_spelling_come_back(keys: list[str]) -> None:
    decision = logged(make_policy(), make_customer(), "red", at=NOW)
    log_all([replace(decision, eligible=keys, weights=[0.5] * len(keys))])
    assert Decision.objects.get().eligible == keys
