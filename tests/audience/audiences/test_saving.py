"""Audiences keep their rules, versions and members."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from audience.audiences.saving import (
    count_members,
    delete_audience,
    find_due,
    find_rule,
    refresh_members,
    save_rule,
)
from audience.models import Audience, AudienceKind, Membership
from audience.rules.grammar import Listed, NoRule
from audience.rules.sql import members_of
from audience.tasks import refresh_audiences
from tests.makers import NOW, make_customer, make_customers, make_event, merge, unique

pytestmark = pytest.mark.django_db

DE = {"attribute": "country", "is": "equal", "value": "DE"}
FR = {"attribute": "country", "is": "equal", "value": "FR"}


def make_audience(rule: Any, *, key: str | None = None) -> Audience:
    key = key or unique("audience")
    return save_rule(Audience(key=key, name=key.capitalize()), rule)


def make_list(*customers: Any) -> Audience:
    key = unique("list")
    audience = Audience.objects.create(key=key, name=key, kind=AudienceKind.LIST)
    for customer in customers:
        Membership.objects.create(audience=audience, customer=customer)
    return audience


def members(audience: Audience) -> set[int]:
    return set(audience.memberships.values_list("customer_id", flat=True))


def test_a_changed_rule_is_a_new_version_and_the_same_rule_is_not() -> None:
    audience = make_audience(DE)
    assert audience.version == 1
    assert save_rule(audience, DE).version == 1
    refresh_members(audience.pk)
    changed = save_rule(audience, FR)
    assert (changed.version, changed.size, changed.counted_at) == (2, None, None)


def test_what_is_no_rule_is_not_saved() -> None:
    with pytest.raises(ValidationError, match="neither a group nor a condition"):
        make_audience({"near": 1})
    with pytest.raises(ValidationError, match="There is no audience nobody"):
        make_audience({"audience": "nobody"})
    with pytest.raises(ValidationError, match="it has no rule"):
        save_rule(make_list(), DE)


def test_an_audience_is_not_defined_by_itself() -> None:
    first = make_audience(DE)
    second = make_audience({"not": {"audience": first.key}})
    with pytest.raises(ValidationError, match="would be defined by itself"):
        save_rule(first, {"any": [FR, {"audience": second.key}]})
    first.refresh_from_db()
    assert first.rule == DE


def test_an_audience_means_what_those_that_it_names_mean_by_now() -> None:
    german, french = (make_customer(attributes={"country": each}) for each in ("DE", "FR"))
    inner = make_audience(DE)
    listed = make_list(french)
    outer = make_audience({"any": [{"audience": inner.key}, {"audience": listed.key}]})
    assert count_members(find_rule(outer), now=NOW) == 2
    save_rule(inner, FR)
    assert count_members(find_rule(outer), now=NOW) == 1
    assert find_rule(listed) == Listed(listed.pk)
    assert german.pk not in members(outer)


def test_a_refresh_adds_who_came_and_removes_who_went() -> None:
    ann, ben, eva = make_customers(3, attributes={"country": "DE"})
    audience = make_audience(DE)
    found = refresh_members(audience.pk)
    assert found is not None
    assert (found.size, found.added, found.removed) == (3, 3, 0)
    since = audience.memberships.get(customer=eva).since
    ann.attributes = {"country": "FR"}
    ann.save()
    merge(ben, into=eva)
    dora = make_customer(attributes={"country": "DE"})
    found = refresh_members(audience.pk)
    assert found is not None
    assert (found.size, found.added, found.removed) == (2, 1, 2)
    assert members(audience) == {eva.pk, dora.pk}
    assert audience.memberships.get(customer=eva).since == since
    audience.refresh_from_db()
    assert audience.size == 2
    assert audience.counted_at is not None
    assert audience.version == 1


def test_a_list_is_counted_by_people_and_keeps_its_rows() -> None:
    visitor, customer = make_customers(2)
    merge(visitor, into=customer)
    audience = make_list(visitor, customer)
    found = refresh_members(audience.pk)
    assert found is not None
    assert (found.size, found.removed) == (1, 0)
    assert members(audience) == {visitor.pk, customer.pk}


def test_what_was_looked_at_lately_is_not_due() -> None:
    old, fresh = make_audience(DE), make_audience(FR)
    refresh_members(fresh.pk)
    hour = timedelta(hours=1)
    assert list(find_due(older_than=hour)) == [old]
    assert refresh_members(fresh.pk, older_than=hour) is None
    assert list(find_due(older_than=timedelta(0))) == [old, fresh]


def test_an_audience_that_another_names_is_kept() -> None:
    inner = make_audience(DE)
    outer = make_audience({"audience": inner.key})
    with pytest.raises(ValidationError, match=f"The rule of {outer.name} names it"):
        delete_audience(inner)
    delete_audience(outer)
    delete_audience(inner)
    assert not Audience.objects.exists()


def test_a_rule_that_cannot_be_read_any_more_is_in_nobodys_way() -> None:
    broken = make_audience(DE)
    Audience.objects.filter(pk=broken.pk).update(rule={"near": 1})
    other = make_audience(DE)
    assert count_members(find_rule(other), now=NOW) == 0
    broken.refresh_from_db()
    with pytest.raises(NoRule):
        find_rule(broken)
    delete_audience(other)


def test_members_can_be_inserted_where_a_campaign_wants_them() -> None:
    customer, other = make_customers(2)
    make_event(customer, "Order Completed", at=NOW)
    audience = make_audience({"event": "Order Completed", "at_least": 1})
    compiled = members_of(find_rule(audience), now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE wanted (customer_id bigint) ON COMMIT DROP")
        cursor.execute(f"INSERT INTO wanted {compiled.sql}", compiled.params)
        cursor.execute("SELECT customer_id FROM wanted")
        assert cursor.fetchall() == [(customer.pk,)]
    assert other.pk != customer.pk


def test_the_beat_refreshes_what_is_due_and_passes_by_what_is_broken() -> None:
    customer = make_customer(attributes={"country": "DE"})
    broken, audience = make_audience(DE), make_audience(DE)
    Audience.objects.filter(pk=broken.pk).update(rule={"near": 1})
    assert refresh_audiences() == 1
    assert members(audience) == {customer.pk}
    assert refresh_audiences() == 0
