"""What a customer was offered lately, as attributes that a policy looks at."""

from datetime import timedelta
from math import exp, log

import pytest

from recommender.weighing.contacts import (
    COMPUTED,
    DAYS_SINCE,
    LAST_MONTH,
    LAST_OFFER,
    LAST_WEEK,
    PRESSURE,
    VALUE,
    WAS_ANSWERED,
    Contact,
    Contacts,
    sees_contacts,
    with_contacts,
    without_computed,
    without_contacts,
)
from recommender.weighing.features import MAX_SIZE, CategoryFeature, FeatureSpec, NumberFeature
from tests.makers import DAY, HOUR, NOW


def test_a_stranger_was_never_contacted() -> None:
    assert Contacts().attributes(now=NOW) == {
        DAYS_SINCE: 30.0,
        PRESSURE: 0,
        LAST_WEEK: 0,
        LAST_MONTH: 0,
        LAST_OFFER: None,
        WAS_ANSWERED: False,
        VALUE: 0.0,
    }


def test_contacts_are_counted_back_from_the_moment() -> None:
    ages = (2 * DAY, 7 * DAY - HOUR, 7 * DAY, 29 * DAY, 30 * DAY)
    given = [Contact(NOW - age, f"offer-{n}") for n, age in enumerate(ages)]
    said = Contacts(given, answered_at=NOW - DAY, value=9.0).attributes(now=NOW)
    assert said == {
        DAYS_SINCE: 2.0,
        PRESSURE: pytest.approx(sum(exp(-(age / (7 * DAY))) for age in ages[:4])),
        LAST_WEEK: 2,
        LAST_MONTH: 4,
        LAST_OFFER: "offer-0",
        WAS_ANSWERED: True,
        VALUE: pytest.approx(log(10)),
    }


def test_an_answer_to_an_offer_before_is_none_to_the_last() -> None:
    given = [Contact(NOW - DAY, "mug"), Contact(NOW - 3 * DAY, "cap")]
    said = Contacts(given, answered_at=NOW - 2 * DAY).attributes(now=NOW)
    assert (said[LAST_OFFER], said[WAS_ANSWERED]) == ("mug", False)


def test_what_is_taken_back_leaves_nothing_at_worst() -> None:
    assert Contacts(value=-5.0).attributes(now=NOW)[VALUE] == 0.0


def test_what_is_offered_now_is_the_last_contact_of_the_next_question() -> None:
    after = Contacts().with_offer("mug", at=NOW)
    said = after.attributes(now=NOW + timedelta(hours=6))
    assert (said[LAST_OFFER], said[DAYS_SINCE], said[LAST_WEEK]) == ("mug", 0.25, 1)


def test_a_clock_that_lags_behind_makes_no_contact_of_the_future() -> None:
    assert Contacts().with_offer("mug", at=NOW + HOUR).attributes(now=NOW)[DAYS_SINCE] == 0.0


def test_features_of_contacts_join_those_that_customers_have() -> None:
    own = FeatureSpec((NumberFeature("age", 40.0, 10.0),))
    spec = with_contacts(own, ["mug", "cap"])
    assert not sees_contacts(own)
    assert sees_contacts(spec)
    assert {feature.attribute for feature in spec.features} == {"age", *COMPUTED}
    assert without_computed(spec) == own
    assert with_contacts(spec, ["mug", "cap"]) == spec, "and stand there once"
    row = spec.encode({"age": 50, **Contacts().with_offer("cap", at=NOW).attributes(now=NOW)})
    named = dict(zip(spec.names, row.tolist(), strict=True))
    assert named["age"] == 1.0
    assert (named[f"{LAST_OFFER}=mug"], named[f"{LAST_OFFER}=cap"]) == (0.0, 1.0)


@pytest.mark.parametrize(("columns", "offers"), [(MAX_SIZE - 9, 4), (0, 0)])
def test_the_last_offer_is_told_where_there_is_room(columns: int, offers: int) -> None:
    values = tuple(f"v{n}" for n in range(columns))
    own = FeatureSpec((CategoryFeature("group", values),) if values else ())
    spec = with_contacts(own, [f"o{n}" for n in range(offers)])
    assert LAST_OFFER not in {feature.attribute for feature in spec.features}


def test_nobody_else_tells_of_contacts() -> None:
    assert without_contacts({"age": 3, LAST_WEEK: 99}) == {"age": 3}
