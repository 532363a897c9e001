import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries

from audience.consent.record import MOST_AT_ONCE, Refusal, find_refusals, record_consent
from audience.consent.suppression import suppress
from audience.models import (
    Channel,
    Consent,
    ConsentChange,
    ConsentState,
    Customer,
    Identity,
    SuppressionReason,
)
from tests.makers import NOW, make_customer, make_customers, merge, unique

EMAIL = Channel.EMAIL


def give_address(customer: Customer) -> str:
    address = f"{unique('ann')}@example.com"
    Identity.objects.create(customer=customer, kind="email", value=address)
    return address


def say(customer: Customer, state: ConsentState, *, after: float = 0, **values: Any) -> bool:
    said = {"channel": EMAIL, "purpose": "marketing", "source": "form", "evidence": {}, **values}
    return record_consent(customer, state=state, now=NOW + timedelta(seconds=after), **said)


def refusals(customers: Sequence[Customer], purpose: str = "marketing") -> list[Refusal | None]:
    ids = [customer.pk for customer in customers]
    found = find_refusals(ids, channel=EMAIL, purpose=purpose)
    return [found.get(id_) for id_ in ids]


@pytest.mark.django_db
def test_only_who_agreed_and_has_an_address_is_written_to() -> None:
    nobody, silent, pending, out, yes = make_customers(5)
    for customer in (silent, pending, out, yes):
        give_address(customer)
    say(nobody, ConsentState.OPTED_IN)
    say(pending, ConsentState.PENDING)
    say(out, ConsentState.OPTED_IN)
    say(out, ConsentState.OPTED_OUT, after=1)
    say(yes, ConsentState.OPTED_IN)
    assert refusals([nobody, silent, pending, out, yes]) == [
        Refusal.NO_ADDRESS,
        Refusal.NOT_ASKED,
        Refusal.NOT_CONFIRMED,
        Refusal.OPTED_OUT,
        None,
    ]


@pytest.mark.django_db
def test_consent_to_one_purpose_is_none_to_another() -> None:
    ann = make_customer()
    give_address(ann)
    say(ann, ConsentState.OPTED_IN, purpose="newsletter")
    assert refusals([ann], "newsletter") == [None]
    assert refusals([ann], "marketing") == [Refusal.NOT_ASKED]


@pytest.mark.django_db
def test_who_is_unknown_is_not_written_to() -> None:
    found = find_refusals([987654321], channel=EMAIL, purpose="marketing")
    assert found == {987654321: Refusal.UNKNOWN}


@pytest.mark.django_db
def test_a_suppressed_address_is_refused_however_it_is_spelled() -> None:
    ann = make_customer()
    address = give_address(ann)
    say(ann, ConsentState.OPTED_IN)
    suppress(f" {address.upper()}", channel=EMAIL, reason=SuppressionReason.BOUNCE, now=NOW)
    assert refusals([ann]) == [Refusal.SUPPRESSED]


@pytest.mark.django_db
def test_a_webhook_names_the_customers_key_and_needs_no_address() -> None:
    ann = make_customer()
    say(ann, ConsentState.OPTED_IN, channel=Channel.WEBHOOK)
    assert find_refusals([ann.pk], channel=Channel.WEBHOOK, purpose="marketing") == {}


@pytest.mark.django_db
@pytest.mark.parametrize("first_is_visitor", [True, False])
def test_what_a_visitor_and_a_customer_said_is_one_persons_and_the_latest_holds(
    first_is_visitor: bool,
) -> None:
    visitor, ann = make_customers(2)
    give_address(visitor)
    first, second = (visitor, ann) if first_is_visitor else (ann, visitor)
    say(first, ConsentState.OPTED_IN)
    say(second, ConsentState.OPTED_OUT, after=1)
    merge(visitor, into=ann)
    visitor.refresh_from_db()
    assert refusals([visitor, ann]) == [Refusal.OPTED_OUT] * 2
    say(visitor, ConsentState.OPTED_IN, after=2)
    assert refusals([visitor, ann]) == [None, None]
    assert Consent.objects.get(customer=ann).state == ConsentState.OPTED_IN


@pytest.mark.django_db
def test_each_change_is_kept_with_its_evidence_and_a_repetition_is_none() -> None:
    ann = make_customer()
    assert say(ann, ConsentState.OPTED_IN, source="import", evidence={"file": "a.csv"})
    assert not say(ann, ConsentState.OPTED_IN, after=1)
    assert say(ann, ConsentState.OPTED_OUT, after=2)
    changes = ConsentChange.objects.filter(customer=ann).order_by("changed_at")
    assert [(c.state, c.source, c.evidence) for c in changes] == [
        ("opted_in", "import", {"file": "a.csv"}),
        ("opted_out", "form", {}),
    ]
    assert Consent.objects.get(customer=ann).state == ConsentState.OPTED_OUT


@pytest.mark.django_db
def test_a_batch_takes_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    customers = make_customers(MOST_AT_ONCE)
    Identity.objects.bulk_create(
        Identity(customer=c, kind="email", value=f"{c.external_key}@example.com") for c in customers
    )
    with django_assert_num_queries(2):
        assert refusals(customers) == [Refusal.NOT_ASKED] * MOST_AT_ONCE


@pytest.mark.django_db
def test_no_larger_batch_is_asked_for() -> None:
    with pytest.raises(ValueError, match="at most 500"):
        find_refusals(range(MOST_AT_ONCE + 1), channel=EMAIL, purpose="marketing")


@pytest.mark.django_db(transaction=True)
def test_who_declines_while_a_transaction_sends_is_refused_within_a_second() -> None:
    ann = make_customer()
    give_address(ann)
    say(ann, ConsentState.OPTED_IN)
    with transaction.atomic():
        assert refusals([ann]) == [None]
        begun = time.monotonic()
        other = threading.Thread(target=say_elsewhere, args=(ann,))
        other.start()
        while refusals([ann]) == [None]:
            assert time.monotonic() - begun < 1.0
            time.sleep(0.01)
        other.join()


def say_elsewhere(customer: Customer) -> None:
    try:
        say(customer, ConsentState.OPTED_OUT, after=1)
    finally:
        connection.close()
