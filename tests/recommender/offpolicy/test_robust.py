"""How far a model's correction is trusted: limits, and the choice of the shrinkage."""

import numpy as np
import pytest

from recommender.offpolicy.robust import (
    ModelledLog,
    choose_steadiest,
    direct,
    doubly_robust,
    shrinkages_of,
    shrunk,
    switch,
)
from recommender.offpolicy.values import Scores, difference
from tests.recommender.offpolicy.logs import make_log, shown, true_values


def steadiness(made: Scores) -> float:
    return float((made.base + made.correction).std())


def test_shrinking_and_switching_lie_between_the_model_and_the_whole_correction() -> None:
    log = make_log(1)
    model, whole = shown(direct(log)).estimate, shown(doubly_robust(log)).estimate
    assert shown(shrunk(log, shrinkage=0.0)).estimate == pytest.approx(model)
    assert shown(switch(log, threshold=0.0)).estimate == pytest.approx(model)
    assert shown(shrunk(log, shrinkage=np.inf)).estimate == pytest.approx(whole)
    assert shown(switch(log, threshold=np.inf)).estimate == pytest.approx(whole)


def test_a_good_model_is_trusted_and_a_bad_one_is_not() -> None:
    log = make_log(2, n=4_000)
    wrong = np.full(4_000, 0.9)
    bad = ModelledLog(log.rewards, log.target, log.logged, wrong, wrong)
    trusted, doubted = shown(shrunk(log)), shown(shrunk(bad))
    whole = shown(doubly_robust(log))
    assert steadiness(trusted.scores) < 0.9 * steadiness(whole.scores)
    assert shown(direct(bad)).estimate == pytest.approx(0.9)
    assert doubted.low < true_values()[0] < doubted.high
    assert doubted.estimate < 0.6


def test_the_models_own_interval_admits_its_bias() -> None:
    log = make_log(3, n=4_000)
    wrong = np.full(4_000, 0.9)
    value = shown(direct(ModelledLog(log.rewards, log.target, log.logged, wrong, wrong)))
    assert value.low < true_values()[0] < value.high


def test_a_shared_bias_cancels_in_a_difference() -> None:
    value = shown(direct(make_log(4)))
    gain = difference(value, value)
    assert (gain.low, gain.high) == (0.0, 0.0)  # type: ignore[union-attr]


def scores(rows: list[float]) -> Scores:
    values = np.array(rows)
    nothing = np.zeros(len(rows))
    return Scores(base=values, correction=nothing, weights=nothing + 1.0, left_out=nothing)


def test_the_narrowest_interval_that_agrees_with_all_wider_ones_is_chosen() -> None:
    # Half widths shrink with the setting; the third disagrees with the first two.
    made = {
        1.0: scores([0.0, 10.0] * 50),
        2.0: scores([3.0, 8.0] * 50),
        3.0: scores([20.0, 21.0] * 50),
        4.0: scores([5.0, 5.1] * 50),
    }
    assert choose_steadiest(made.__getitem__, list(made), confidence=0.95) == 2.0
    assert choose_steadiest(made.__getitem__, [1.0, 2.0, 4.0], confidence=0.95) == 4.0


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_is_chosen_without_rows(n: int) -> None:
    nothing = np.ones(n)
    assert "needed" in shrunk(ModelledLog(*[nothing] * 5)).reason  # type: ignore[union-attr]


def test_candidates_reach_from_the_model_to_the_whole_correction() -> None:
    found = shrinkages_of(np.array([1.0, 2.0, 3.0]))
    assert found[0] == 0.0
    assert found[-1] == np.inf
    assert list(found) == sorted(found)
    assert 4.0 in found


@pytest.mark.parametrize("setting", [-1.0, np.nan])
def test_negative_settings_are_refused(setting: float) -> None:
    log = make_log(5)
    with pytest.raises(ValueError, match="threshold must be at least 0"):
        switch(log, threshold=setting)
    with pytest.raises(ValueError, match="shrinkage must be at least 0"):
        shrunk(log, shrinkage=setting)
