"""The probability of being best, against adaptive integration, closed forms and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from scipy.integrate import quad

from recommender.arrays import BoolArray, FloatArray
from recommender.weighing.choice_rules import inverse_gap_probabilities, softmax_probabilities
from recommender.weighing.propensities import (
    best_among,
    best_arm_probabilities,
    contenders,
    contenders_many,
    floor_after,
    offer_weights,
    optimistic_among,
    optimistic_probabilities,
    with_floor,
)


def everyone(mean: FloatArray) -> BoolArray:
    return np.ones(mean.shape, dtype=bool)


def integrated(mean: FloatArray, sd: FloatArray) -> FloatArray:
    """The defining integral by adaptive quadrature, broken at every offer's mean."""

    def density(t: float, k: int) -> float:
        z = (t - mean) / sd
        others = np.delete(stats.norm.cdf(z), k)
        return float(stats.norm.pdf(z[k]) / sd[k] * others.prod())

    probabilities = []
    for k in range(len(mean)):
        low, high = mean[k] - 9 * sd[k], mean[k] + 9 * sd[k]
        ends = np.concatenate([mean - 3 * sd, mean, mean + 3 * sd])
        breaks = sorted({float(t) for t in ends if low < t < high})
        value, _ = quad(density, low, high, args=(k,), points=breaks, limit=400, epsabs=1e-12)
        probabilities.append(value)
    return np.array(probabilities)


@pytest.mark.parametrize("n_offers", [2, 3, 8])
@pytest.mark.parametrize("spread", [1.0, 10.0, 100.0])
def test_probabilities_match_adaptive_integration(n_offers: int, spread: float) -> None:
    rng = np.random.default_rng(n_offers)
    for _ in range(3):
        sd = np.exp(-rng.uniform(0.0, np.log(spread), n_offers))
        sd[0], sd[1] = 1.0, 1.0 / spread
        mean = rng.normal(size=n_offers) * rng.choice([0.1, 1.0])
        p = best_arm_probabilities(mean, sd, everyone(mean))
        # Three times what was the largest error seen over 300 random rows of such spreads.
        atol = 1e-5 if spread == 100.0 else 4e-8
        np.testing.assert_allclose(p, integrated(mean, sd), rtol=0, atol=atol)


def test_a_newcomer_among_well_known_offers_is_resolved() -> None:
    mean = np.array([0.05, 0.10, 0.12, 0.11])
    sd = np.array([0.30, 0.005, 0.004, 0.006])
    p = best_arm_probabilities(mean, sd, everyone(mean))
    np.testing.assert_allclose(p, integrated(mean, sd), atol=3e-7)


def test_two_offers_have_a_closed_form() -> None:
    mean, sd = np.array([0.3, 0.1]), np.array([0.2, 0.05])
    p = best_arm_probabilities(mean, sd, everyone(mean))
    expected = stats.norm.cdf(0.2 / np.hypot(0.2, 0.05))
    np.testing.assert_allclose(p, [expected, 1 - expected], atol=1e-9)


def test_probabilities_match_simulated_draws() -> None:
    rng = np.random.default_rng(1)
    mean, sd = rng.normal(size=6), np.exp(rng.normal(size=6))
    n = 200_000
    best = (mean + sd * rng.standard_normal((n, 6))).argmax(axis=1)
    p = best_arm_probabilities(mean, sd, everyone(mean))
    frequency = np.bincount(best, minlength=6) / n
    # Six comparisons: 3.5 standard errors keep a false alarm under 0.3 %.
    assert (abs(frequency - p) <= 3.5 * np.sqrt(p * (1 - p) / n)).all()


@settings(max_examples=60, deadline=None)
@given(
    mean=st.lists(st.floats(-5, 5), min_size=1, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    shift=st.floats(-100, 100),
    scale=st.floats(0.01, 100),
)
def test_probabilities_ignore_the_units_of_reward(
    mean: list[float], seed: int, shift: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    m, s = np.array(mean), rng.uniform(0.1, 1.0, len(mean))
    p = best_arm_probabilities(m, s, everyone(m))
    moved = best_arm_probabilities(shift + scale * m, scale * s, everyone(m))
    # Adding a shift of 100 to a scale of 0.01 costs four of sixteen digits of z.
    np.testing.assert_allclose(moved, p, atol=1e-10)


def test_equal_offers_share_evenly() -> None:
    p = best_arm_probabilities(np.full(7, 0.1), np.full(7, 0.2), np.ones(7, dtype=bool))
    np.testing.assert_allclose(p, 1 / 7, atol=1e-15)


@pytest.mark.parametrize("level", [0.0, 1.0, -1e6])
def test_equal_offers_without_uncertainty_share_evenly(level: float) -> None:
    p = best_arm_probabilities(np.full(3, level), np.zeros(3), np.ones(3, dtype=bool))
    np.testing.assert_allclose(p, 1 / 3, atol=1e-15)


def test_a_certain_winner_takes_all() -> None:
    p = best_arm_probabilities(np.array([0.1, 0.2, 0.3]), np.zeros(3), np.ones(3, dtype=bool))
    np.testing.assert_allclose(p, [0, 0, 1], atol=1e-15)


def test_sds_further_apart_than_the_grid_resolves_still_give_probabilities() -> None:
    mean, sd = np.array([0.0, 0.1, 0.2]), np.array([1.0, 1e-9, 1e-3])
    p = best_arm_probabilities(mean, sd, everyone(mean))
    widened = integrated(mean, np.maximum(sd, 0.01))
    np.testing.assert_allclose(p, widened, atol=3e-7)


def test_a_mask_drops_offers_as_if_they_did_not_exist() -> None:
    rng = np.random.default_rng(2)
    mean, sd = rng.normal(size=5), np.exp(rng.normal(size=5))
    mean[1], sd[3] = 1e6, 1e-6
    eligible = np.array([True, False, True, False, True])
    p = best_arm_probabilities(mean, sd, eligible)
    alone = best_arm_probabilities(mean[eligible], sd[eligible], np.ones(3, dtype=bool))
    np.testing.assert_array_equal(p[~eligible], 0.0)
    np.testing.assert_allclose(p[eligible], alone, atol=1e-14)


def test_rows_are_weighed_independently() -> None:
    rng = np.random.default_rng(3)
    mean, sd = rng.normal(size=(20, 6)), np.exp(rng.normal(size=(20, 6)))
    eligible = rng.random((20, 6)) < 0.6
    eligible[:, 0] = True
    together = offer_weights(mean, sd, eligible, floor=0.01)
    for i in range(20):
        row = slice(i, i + 1)
        alone = offer_weights(mean[row], sd[row], eligible[row], floor=0.01)
        np.testing.assert_allclose(together[row], alone, atol=1e-14)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), floor=st.floats(1e-4, 1.0))
def test_weights_are_positive_exactly_where_eligible(seed: int, floor: float) -> None:
    rng = np.random.default_rng(seed)
    mean, sd = 100 * rng.normal(size=(4, 9)), rng.uniform(0, 1, (4, 9))
    eligible = rng.random((4, 9)) < 0.5
    eligible[np.arange(4), rng.integers(9, size=4)] = True
    weights = offer_weights(mean, sd, eligible, floor=floor)
    np.testing.assert_array_equal(weights > 0, eligible)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-14)
    least = np.minimum(floor, 0.5 / eligible.sum(axis=1))
    assert (weights >= least[:, None] - 1e-14)[eligible].all()


def test_the_floor_mixes_in_the_uniform_choice() -> None:
    p = np.array([0.9, 0.1, 0.0, 0.0])
    eligible = np.array([True, True, True, False])
    mixed = with_floor(p, eligible, floor=0.02)
    np.testing.assert_allclose(mixed, [0.94 * 0.9 + 0.02, 0.94 * 0.1 + 0.02, 0.02, 0.0])


def test_the_floor_never_takes_more_than_half_of_the_traffic() -> None:
    mixed = with_floor(np.array([1.0, 0.0]), np.array([True, True]), floor=1.0)
    np.testing.assert_allclose(mixed, [0.75, 0.25])


def test_a_single_eligible_offer_is_certain() -> None:
    eligible = np.array([[False, True, False]])
    weights = offer_weights(np.array([[9.0, 1.0, 2.0]]), np.ones((1, 3)), eligible, floor=0.05)
    np.testing.assert_array_equal(weights, [[0.0, 1.0, 0.0]])


def test_no_eligible_offer_is_an_error() -> None:
    nobody = np.array([[True, False], [False, False]])
    with pytest.raises(ValueError, match="At least one offer must be eligible"):
        offer_weights(np.zeros((2, 2)), np.ones((2, 2)), nobody, floor=0.05)
    with pytest.raises(ValueError, match="At least one offer must be eligible"):
        with_floor(np.full((2, 2), 0.5), nobody, floor=0.05)


@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([0.0, 1e-3, 1.0, 50.0]))
def test_one_customer_is_weighed_like_many(seed: int, n: int, apart: float) -> None:
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(0, apart, n), np.exp(rng.normal(0, 1, n))
    np.testing.assert_allclose(
        best_among(mean, sd), best_arm_probabilities(mean, sd, everyone(mean)), rtol=0, atol=1e-13
    )


@given(st.integers(0, 2**32), st.integers(1, 60), st.floats(0.1, 30))
def test_who_is_no_contender_has_no_chance(seed: int, n: int, apart: float) -> None:
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(0, apart, n), np.exp(rng.normal(0, 0.5, n))
    eligible = rng.random(n) < 0.7
    eligible[rng.integers(n)] = True
    able = contenders(mean, sd * rng.uniform(1, 1.2), eligible)
    assert able.any()
    assert not np.any(able & ~eligible)
    p = best_arm_probabilities(mean, sd, eligible)
    # Under 1e-8 by the bound, and the quadrature's error.
    assert p[~able].max(initial=0.0) < 3e-8


def test_inverse_gaps_follow_their_formula() -> None:
    mean = np.array([0.3, 0.5, 0.1, 0.9])
    eligible = np.array([True, True, True, False])
    p = inverse_gap_probabilities(mean, eligible, gap_scale=10.0)
    np.testing.assert_allclose(p, [1 / 5, 1 - 1 / 5 - 1 / 7, 1 / 7, 0.0])


def test_equal_offers_share_evenly_by_inverse_gaps() -> None:
    p = inverse_gap_probabilities(np.full(5, -0.2), np.ones(5, dtype=bool), gap_scale=1e6)
    np.testing.assert_allclose(p, 0.2)


@given(st.integers(0, 2**32), st.floats(0, 1e6))
def test_each_row_is_a_distribution_by_inverse_gaps(seed: int, gap_scale: float) -> None:
    rng = np.random.default_rng(seed)
    mean, eligible = rng.normal(size=(5, 9)), rng.random((5, 9)) < 0.5
    eligible[:, 3] = True
    p = inverse_gap_probabilities(mean, eligible, gap_scale=gap_scale)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_array_equal(p > 0, eligible)
    favourite = np.where(eligible, mean, -np.inf).argmax(axis=1)
    np.testing.assert_allclose(p[np.arange(5), favourite], p.max(axis=1))


def test_nobody_is_chosen_by_inverse_gaps_where_nobody_may() -> None:
    with pytest.raises(ValueError, match="At least one offer must be eligible"):
        inverse_gap_probabilities(np.zeros(2), np.zeros(2, dtype=bool), gap_scale=1.0)


def test_the_floor_falls_with_what_is_learned_to_one_bucket() -> None:
    assert floor_after(0.01, learned=0) == 0.01
    assert floor_after(0.01, learned=99) == pytest.approx(0.01 * 100**-0.45)
    assert floor_after(0.01, learned=1e9) == 1e-4
    assert floor_after(5e-5, learned=1e9) == 5e-5


@given(st.integers(0, 2**32), st.integers(1, 40), st.floats(0.1, 10))
def test_many_customers_contenders_are_those_of_each(seed: int, n: int, apart: float) -> None:
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(0, apart, (n, 8)), np.exp(rng.normal(0, 0.5, (n, 8)))
    eligible = rng.random((n, 8)) < 0.7
    eligible[:, 0] = True
    each = [contenders(mean[i], sd[i], eligible[i]) for i in range(n)]
    np.testing.assert_array_equal(contenders_many(mean, sd, eligible), each)


def test_leaving_out_the_hopeless_changes_less_than_the_integral_is_off() -> None:
    rng = np.random.default_rng(22)
    mean, sd = rng.normal(0, 2, (300, 30)), np.exp(rng.normal(0, 0.4, (300, 30)))
    everybody = np.ones((300, 30), dtype=bool)
    pruned = offer_weights(mean, sd, everybody, floor=1e-12)
    np.testing.assert_allclose(pruned, best_arm_probabilities(mean, sd, everybody), atol=1e-7)


def test_optimism_has_a_closed_form_for_two_offers() -> None:
    mean, sd = np.array([[0.5, 0.4, 0.9]]), np.array([[0.1, 0.3, 5.0]])
    p = optimistic_probabilities(mean, sd, np.array([[True, True, False]]))
    # The second overtakes where 0.5 + 0.1 z = 0.4 + 0.3 z.
    overtaken = 2 * stats.norm.sf(0.5)
    np.testing.assert_allclose(p, [[1 - overtaken, overtaken, 0.0]], atol=1e-15)


@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([0.01, 0.3, 2.0]))
def test_optimism_matches_one_draw_for_all(seed: int, n: int, apart: float) -> None:
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(0, apart, (4, n)), np.exp(rng.normal(0, 1, (4, n)))
    eligible = rng.random((4, n)) < 0.8
    eligible[:, 0] = True
    quantiles = (np.arange(20_000) + 0.5) / 20_000
    raised = mean[..., None] + sd[..., None] * stats.norm.ppf(0.5 + 0.5 * quantiles)
    raised[~eligible] = -np.inf
    wins = (raised.argmax(axis=1)[:, None, :] == np.arange(n)[:, None]).mean(axis=-1)
    # Each corner falls between two quantiles.
    p = optimistic_probabilities(mean, sd, eligible)
    np.testing.assert_allclose(p, wins, atol=2.1 / 20_000)
    alone = optimistic_among(mean[0, eligible[0]], sd[0, eligible[0]])
    np.testing.assert_allclose(alone, p[0, eligible[0]], atol=1e-14)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-14)


@pytest.mark.parametrize("level", [0.0, -3.0, 1e6])
@pytest.mark.parametrize("sd", [0.0, 0.2])
def test_offers_that_are_alike_share_an_optimism(level: float, sd: float) -> None:
    # Rounding, and a hopeless fourth offer, make no difference.
    mean = level * (1 + 1e-15 * np.arange(4.0)[None]) - np.array([0.0, 0.0, 0.0, 99.0])
    p = optimistic_probabilities(mean, np.full((1, 4), sd), np.ones((1, 4), dtype=bool))
    np.testing.assert_allclose(p, [[1 / 3, 1 / 3, 1 / 3, 0.0]], atol=1e-15)
    np.testing.assert_allclose(optimistic_among(mean[0], np.full(4, sd)), p[0], atol=1e-15)


def test_nobody_is_raised_where_nobody_may_be_chosen() -> None:
    with pytest.raises(ValueError, match="At least one offer must be eligible"):
        optimistic_probabilities(np.zeros((1, 2)), np.ones((1, 2)), np.zeros((1, 2), dtype=bool))


def test_a_softmax_is_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    mean, eligible = rng.normal(size=(50, 6)), rng.random((50, 6)) < 0.6
    eligible[:, 2] = True
    p = softmax_probabilities(mean, eligible, temperature=0.2)
    for row in range(50):
        allowed = eligible[row]
        np.testing.assert_allclose(
            p[row, allowed], special.softmax(mean[row, allowed] / 0.2), rtol=1e-12
        )
        assert not p[row, ~allowed].any()


def test_a_cold_softmax_of_large_numbers_does_not_overflow() -> None:
    p = softmax_probabilities(
        np.array([1e6, 1e6 - 1, -1e6]), np.ones(3, dtype=bool), temperature=1e-3
    )
    np.testing.assert_array_equal(p, [1.0, 0.0, 0.0])


def test_a_softmax_among_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="At least one offer"):
        softmax_probabilities(np.zeros(2), np.zeros(2, dtype=bool), temperature=1.0)
