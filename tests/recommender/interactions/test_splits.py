"""Splits hold answers back from what is learned."""

import numpy as np
import pytest

from recommender.interactions.histories import Histories
from recommender.interactions.splits import (
    by_amount,
    leave_one_out,
    leave_two_out,
    split_at,
    validate_two_out,
)

TIMES = np.array([1.0, 2.0, 3.0, 4.0, 2.0, 5.0, 6.0])
HISTORIES = Histories.of([[0, 1, 2, 3], [4, 5], [6]], n_items=8, times=TIMES)


def lists(histories: Histories) -> list[list[int]]:
    return [histories.items_of(row).tolist() for row in range(len(histories))]


def test_leaving_one_out_learns_from_all_but_the_last() -> None:
    split = leave_one_out(HISTORIES)
    # Who has one event only is learned from, and not asked about.
    assert lists(split.learned) == [[0, 1, 2], [4], [6]]
    assert lists(split.asked) == [[0, 1, 2], [4]]
    assert lists(split.answers) == [[3], [5]]


def test_leaving_two_out_keeps_the_last_but_one_for_choosing() -> None:
    split, chosen = leave_two_out(HISTORIES), validate_two_out(HISTORIES)
    assert lists(split.learned) == lists(chosen.learned) == [[0, 1]]
    assert (lists(split.asked), lists(split.answers)) == ([[0, 1, 2]], [[3]])
    assert (lists(chosen.asked), lists(chosen.answers)) == ([[0, 1]], [[2]])


def test_a_time_split_learns_nothing_that_came_later() -> None:
    split = split_at(HISTORIES, 3.0)
    assert lists(split.learned) == [[0, 1], [4], []]
    assert lists(split.asked) == [[0, 1], [4], []]
    assert lists(split.answers) == [[2, 3], [5], [6]]
    assert split.learned.times.max() < 3.0 <= split.answers.times.min()


@pytest.mark.parametrize("moment", [0.5, 7.0])
def test_a_time_split_needs_events_on_both_sides(moment: float) -> None:
    with pytest.raises(ValueError, match="between events"):
        split_at(HISTORIES, moment)


def test_customers_are_grouped_by_how_much_is_known_of_them() -> None:
    split = split_at(HISTORIES, 3.0)
    groups = by_amount(split.asked)
    assert {name: rows.tolist() for name, rows in groups.items()} == {"0": [2], "1 to 2": [0, 1]}


def test_the_last_group_has_no_end() -> None:
    histories = Histories.of([[0] * 12, [0] * 10, [0]], n_items=1)
    assert list(by_amount(histories)) == ["1 to 2", "10 or more"]
