"""Who holds a token may listen, for a while."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from experiments.ofrep.tokens import WINDOW_SECONDS, make_token, read_token, window_at

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
SECRET = b"secret"


def test_a_token_names_its_source() -> None:
    assert read_token(make_token(42, secret=SECRET, now=NOW), secret=SECRET, now=NOW) == 42


@given(st.integers(0, 3 * WINDOW_SECONDS))
def test_a_token_is_good_for_an_hour_at_least_and_for_two_at_most(seconds: int) -> None:
    later = NOW + timedelta(seconds=seconds)
    found = read_token(make_token(42, secret=SECRET, now=NOW), secret=SECRET, now=later)
    if seconds <= WINDOW_SECONDS:
        assert found == 42
    if seconds >= 2 * WINDOW_SECONDS:
        assert found is None


def test_a_token_of_the_future_is_none() -> None:
    token = make_token(42, secret=SECRET, now=NOW + timedelta(hours=1))
    assert read_token(token, secret=SECRET, now=NOW) is None


def test_tokens_of_one_hour_are_alike() -> None:
    tokens = {make_token(1, secret=SECRET, now=NOW + timedelta(minutes=m)) for m in range(30)}
    assert len(tokens) == 1


def test_nobody_makes_a_token_without_the_secret() -> None:
    token = make_token(42, secret=b"guess", now=NOW)
    assert read_token(token, secret=SECRET, now=NOW) is None


def test_a_token_for_another_source_or_hour_needs_another_signature() -> None:
    signature = make_token(42, secret=SECRET, now=NOW).rpartition(".")[2]
    for forged in (f"43.{window_at(NOW)}", f"42.{window_at(NOW) + 1}", "42"):
        assert read_token(f"{forged}.{signature}", secret=SECRET, now=NOW) is None


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert read_token(text, secret=SECRET, now=NOW) is None
