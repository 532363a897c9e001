"""A token bucket lets through what it promises, and says when to come again."""

from hypothesis import given
from hypothesis import strategies as st

from wire.limits import TokenBucket


def test_a_burst_is_let_through_and_then_one_at_a_time() -> None:
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take(10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.take(10.5) == 0
    assert bucket.take(10.5) == 0.5


def test_what_is_refused_takes_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1)
    bucket.take(0.0)
    assert [bucket.take(0.5) for _ in range(5)] == [0.5] * 5
    assert bucket.take(1.0) == 0


def test_more_than_fits_is_let_through_once_the_bucket_is_full_and_paid_for_after() -> None:
    bucket = TokenBucket(rate=1, burst=10)
    assert bucket.take(0.0, tokens=25) == 0
    assert bucket.take(0.0) == 16
    assert bucket.take(16.0) == 0


def test_a_clock_that_stands_still_or_goes_back_adds_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1)
    bucket.take(5.0)
    assert bucket.take(4.0) == 1.0


@given(st.lists(st.floats(0, 2), min_size=1, max_size=200), st.floats(0.5, 50), st.integers(1, 20))
def test_over_any_time_no_more_passes_than_the_burst_and_the_rate(
    gaps: list[float], rate: float, burst: int
) -> None:
    bucket, now, passed = TokenBucket(rate=rate, burst=burst), 0.0, 0
    for gap in gaps:
        now += gap
        wait = bucket.take(now)
        passed += wait == 0
        assert wait <= 1 / rate + 1e-9
    assert passed <= burst + rate * now + 1e-6
