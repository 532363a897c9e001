"""Bandits are found by name."""

import pytest

from recommender.bandits import BANDITS, bandit_choices, load_bandit


def test_an_unknown_bandit_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match="No bandit is called 'oracle'; there are: randomised_"):
        load_bandit("oracle")


def test_every_bandit_can_be_chosen() -> None:
    assert [name for name, _ in bandit_choices()] == list(BANDITS)
    assert bandit_choices()[:2] == [
        ("randomised_ucb", "Randomised UCB"),
        ("linear_thompson", "Linear Thompson"),
    ]
