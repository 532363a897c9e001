"""A look at a draft says how many, what each row does, and who."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audience.audiences.counting import count, find_overlaps, find_sample, look_at, paths_in
from audience.audiences.saving import find_rule
from audience.models import Audience
from audience.rules.draft import Draft, Group, Row, to_draft
from audience.rules.grammar import NoRule, parse_rule
from tests.audience.audiences.test_saving import DE, FR, make_audience, make_list
from tests.makers import make_customers, make_event

pytestmark = pytest.mark.django_db

ORDERED = {"event": "Order Completed", "at_least": 1}


def draft(*rules: object, joined: str = "all") -> Draft:
    return Draft("all", (Group(joined, tuple(Row(parse_rule(each)) for each in rules)),))


def test_each_row_says_what_it_removes() -> None:
    german = make_customers(4, attributes={"country": "DE"})
    french = make_customers(6, attributes={"country": "FR"})
    for customer in (german[0], french[0]):
        make_event(customer, "Order Completed", at=timezone.now() - timedelta(days=1))
    look = look_at(draft(DE, {"not": FR}, ORDERED))
    assert (look.people, look.count) == (10, 1)
    assert [(row.alone, row.before, row.left, row.removed) for row in look.rows] == [
        (4, 10, 4, 6),
        (4, 4, 4, 0),
        (2, 4, 1, 3),
    ]
    assert look.rows[2].says == "Order Completed at least 1 time, ever"
    assert look.rows[2].share == 0.75
    assert look.warnings == ["Row 2 removes nobody."]
    assert [customer.pk for customer in find_sample(look)] == [german[0].pk]


def test_alternatives_add_people() -> None:
    make_customers(3, attributes={"country": "DE"})
    make_customers(2, attributes={"country": "FR"})
    look = look_at(draft(DE, FR, joined="any"))
    assert look.count == 5
    assert look.rows[1].removed == -2


def test_alternatives_are_not_warned_of_for_what_others_add() -> None:
    make_customers(2, attributes={"country": "DE"})
    make_customers(98, attributes={"country": "FR"})
    shown = draft(DE, FR, DE, joined="any")
    look = look_at(shown, numbers=[2, 4, 5])
    assert [row.number for row in look.rows] == [2, 4, 5]
    assert look.warnings == ["Row 5 adds nobody."]


def test_a_draft_that_nobody_meets_and_one_that_hardly_anybody_meets_are_warned_of() -> None:
    make_customers(99)
    make_customers(1, attributes={"country": "DE"})
    assert look_at(draft(FR)).warnings == ["Nobody is in this audience."]
    assert look_at(draft(DE)).warnings == ["Row 1 removes 99.0% of those before it."]
    assert look_at(draft(FR, DE)).rows[1].share == 0.0


def test_where_no_customer_is_known_that_is_said_instead() -> None:
    look = look_at(draft(DE))
    assert look.people == 0
    assert look.warnings == ["No customer is known yet: they come with events, or are imported."]


def test_an_empty_draft_is_everybody() -> None:
    people = make_customers(30)
    look = look_at(Draft("all", ()))
    assert look.count == look.people == 30
    sample = [customer.pk for customer in find_sample(look)]
    assert len(sample) == 10
    assert {people[0].pk, people[-1].pk} <= set(sample)


def test_overlaps_with_others_are_counted_and_broken_ones_left_out() -> None:
    german = make_customers(4, attributes={"country": "DE"})
    make_customers(2, attributes={"country": "FR"})
    whole = make_audience({"any": [DE, FR]})
    listed = make_list(*german[:3])
    broken = make_audience(DE)
    Audience.objects.filter(pk=broken.pk).update(rule={"near": 1})
    own = make_audience(DE)
    found = find_overlaps(draft(DE), own_key=own.key)
    assert [(each.audience, each.size, each.shared) for each in found] == [
        (whole, 6, 4),
        (listed, 3, 3),
    ]


def test_an_audience_of_itself_is_not_counted() -> None:
    own = make_audience(DE)
    with pytest.raises(NoRule, match="would be defined by itself"):
        look_at(draft({"audience": own.key}), own_key=own.key)


def test_an_audience_is_counted_as_of_a_moment() -> None:
    make_customers(3, attributes={"country": "DE"})
    audience = make_audience({"audience": make_audience(DE).key})
    number, at = count(find_rule(audience))
    assert number == 3
    assert timezone.now() - at < timedelta(minutes=1)


def test_a_sample_shows_what_the_draft_names() -> None:
    shown = to_draft(parse_rule({"all": [DE, {"not": {**FR, "attribute": "a.b"}}, ORDERED, DE]}))
    assert shown is not None
    assert paths_in(shown) == ["country", "a.b"]
