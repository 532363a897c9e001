"""Rows are read back from the numbers that they are written as."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.simulators.tables import (
    ELSE,
    MOST_VALUES,
    CategoryColumn,
    NumberColumn,
    blocks_of,
    decode_rows,
    encode_rows,
    fit_column,
    width_of,
)

SCALARS = st.one_of(st.none(), st.booleans(), st.sampled_from(["a", "b", "c"]))


@given(st.lists(SCALARS, min_size=1, max_size=40))
def test_categories_come_back_as_they_were(values: list[object]) -> None:
    column = fit_column("c", values)
    rows = [{"c": value} for value in values]
    assert isinstance(column, CategoryColumn)
    assert decode_rows(encode_rows(rows, [column]), [column]) == rows


@given(st.lists(st.integers(-5, 5) | st.none(), min_size=1, max_size=60))
def test_whole_numbers_that_come_often_come_back_as_they_were(values: list[int | None]) -> None:
    column = fit_column("n", values)
    rows = [{"n": value} for value in values]
    for row, back in zip(rows, decode_rows(encode_rows(rows, [column]), [column]), strict=True):
        if isinstance(column, NumberColumn) and row["n"] not in column.often:
            assert isinstance(back["n"], int)
        else:
            assert back == row


def test_other_numbers_come_back_by_their_rank() -> None:
    rng = np.random.default_rng(1)
    values = [0.0] * 300 + rng.lognormal(3, 1, 700).tolist()
    column = fit_column("n", values)
    assert isinstance(column, NumberColumn)
    assert (column.often, column.choices, column.width) == ((0.0,), 2, 3)
    rows = [{"n": value} for value in values]
    back = decode_rows(encode_rows(rows, [column]), [column])
    for row, again in zip(rows, back, strict=True):
        assert again["n"] == pytest.approx(row["n"], rel=0.05, abs=0.2)
    above = encode_rows([{"n": 1e9}], [column])
    assert above[0, 2] == 1.0


def test_a_value_of_many_that_is_not_common_is_another() -> None:
    column = fit_column("c", [f"v{n}" for n in range(MOST_VALUES + 20)])
    assert isinstance(column, CategoryColumn)
    assert column.values[-1] == ELSE
    assert decode_rows(encode_rows([{"c": "never seen"}], [column]), [column]) == [{"c": ELSE}]


def test_columns_stand_side_by_side() -> None:
    columns = [fit_column("c", ["a", "b"]), fit_column("n", list(range(100)))]
    assert width_of(columns) == 2 + 2
    (letters, numbers) = blocks_of(columns)
    assert (letters.choices, letters.rank) == (slice(0, 2), None)
    assert (numbers.choices, numbers.rank) == (slice(2, 3), 3)


def test_a_number_that_is_missing_where_none_was_is_taken_for_the_first_choice() -> None:
    column = fit_column("n", [1.5, 1.5, 2.5, 2.5])
    assert column.encode(None) == (0, 0.0)
    assert column.encode(99.0) == (0, 0.0)


def test_what_is_missing_once_is_a_choice_of_its_own() -> None:
    column = fit_column("n", [*range(100), None])
    assert isinstance(column, NumberColumn)
    assert column.often == (None,)
    assert decode_rows(encode_rows([{"n": None}], [column]), [column]) == [{"n": None}]
