"""How much a log tells, and when it tells too little."""

import numpy as np
import pytest

from recommender.offpolicy.support import Support, find_objection, share_at_floor


def test_support_describes_the_weights() -> None:
    w = np.random.default_rng(1).exponential(size=1_000)
    support = Support.of(w)
    assert support.n == 1_000
    assert support.effective_sample_size == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert support.mean_weight == pytest.approx(w.mean())
    assert support.max_weight == w.max()
    margin = 3.290526731491895 * w.std(ddof=1) / np.sqrt(1_000)
    assert support.mean_weight_high - support.mean_weight == pytest.approx(margin)
    assert support.mean_weight - support.mean_weight_low == pytest.approx(margin)


def test_even_weights_are_as_good_as_the_log_itself() -> None:
    support = Support.of(np.ones(150))
    assert support.effective_sample_size == 150
    assert not find_objection(support)


@pytest.mark.parametrize("n", [0, 1])
def test_a_row_alone_supports_nothing(n: int) -> None:
    assert find_objection(Support.of(np.ones(n)), least_effective=0.0)


def test_weights_of_nothing_support_nothing() -> None:
    assert "as 0 of its own" in find_objection(Support.of(np.zeros(500)), least_effective=0.0)


def test_a_mean_weight_far_from_one_is_an_alarm() -> None:
    assert "The weights average 1.200" in find_objection(Support.of(np.full(500, 1.2)))
    assert "The weights average 0.800" in find_objection(Support.of(np.full(500, 0.8)))


def test_decisions_at_the_floor_are_counted() -> None:
    p = np.array([0.01, 0.01 + 1e-12, 0.5, 0.02])
    assert share_at_floor(p, 0.01) == 0.5
    assert share_at_floor(p, np.array([0.01, 0.001, 0.5, 0.001])) == 0.5
