"""Ids of decisions sort by time, and fall into their month's partition."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from recommender.decision_ids import RANDOM_BITS, decision_id, decision_partition, first_id_at

moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis wants them naive
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
entropies = st.integers(0, 2**RANDOM_BITS - 1)
MILLISECOND = timedelta(milliseconds=1)


@given(moment=moments, entropy=entropies)
def test_an_id_is_a_uuid_of_version_7(moment: datetime, entropy: int) -> None:
    id_ = decision_id(moment, entropy=entropy)
    assert (id_.version, id_.variant) == (7, uuid.RFC_4122)


@given(moment=moments, entropy=entropies)
def test_an_id_lies_between_the_bounds_of_its_millisecond(moment: datetime, entropy: int) -> None:
    id_ = decision_id(moment, entropy=entropy)
    assert first_id_at(moment) <= id_ < first_id_at(moment + MILLISECOND)


@given(moment=moments, other=moments, entropy=entropies, more=entropies)
def test_ids_sort_by_time(moment: datetime, other: datetime, entropy: int, more: int) -> None:
    early, late = sorted([moment, other])
    if late - early >= MILLISECOND:
        assert decision_id(early, entropy=entropy) < decision_id(late, entropy=more)


@given(moment=moments, entropy=entropies, more=entropies)
def test_every_random_bit_counts(moment: datetime, entropy: int, more: int) -> None:
    same = decision_id(moment, entropy=entropy) == decision_id(moment, entropy=more)
    assert same == (entropy == more)


def test_the_months_bounds_are_ids() -> None:
    statement = decision_partition(datetime(2026, 12, 1, tzinfo=UTC)).as_string(None)
    assert '"recommender_decision_2026_12"' in statement
    assert str(first_id_at(datetime(2026, 12, 1, tzinfo=UTC))) in statement
    assert str(first_id_at(datetime(2027, 1, 1, tzinfo=UTC))) in statement
