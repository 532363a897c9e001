"""Days agreed and whole weeks."""

from dataclasses import replace

import pytest

from experiments.health.too_early import check_too_early
from tests.experiments.health.contexts import make_context


@pytest.mark.parametrize(
    ("days", "code"),
    [
        (None, None),
        (0.2, "too_early"),
        (13.9, "too_early"),
        (14.0, None),
        (14.9, None),
        (15.0, "part_of_a_week"),
        (27.5, "part_of_a_week"),
        (28.0, None),
        (30.0, None),
    ],
)
def test_notes_come_before_the_minimum_and_inside_a_week(
    days: float | None, code: str | None
) -> None:
    finding = check_too_early(replace(make_context(), days=days, minimum_days=14))
    assert (finding and finding.code) == code
    if finding is not None:
        assert finding.severity == "note"


def test_a_young_experiment_says_how_long_to_wait() -> None:
    finding = check_too_early(replace(make_context(), days=1.5, minimum_days=14))
    assert finding is not None
    assert finding.detail.startswith("The experiment has run for 1 day of at least 14 days.")


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (3.0, "3 days, which is less than a week. "),
        (8.0, "8 days, which is 1 whole week and a part. "),
        (20.0, "20 days, which is 2 whole weeks and a part. "),
    ],
)
def test_a_part_of_a_week_says_how_many_days_make_it_fair(days: float, words: str) -> None:
    finding = check_too_early(replace(make_context(), days=days))
    assert finding is not None
    assert words in finding.detail
    assert finding.detail.endswith("more would make it fair.")
