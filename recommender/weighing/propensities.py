"""Work out the probability that each offer is the best one, in numpy or torch alike.

For independent normals X_k ~ N(m_k, s_k²), offer k is best with probability

    p_k = ∫ φ((t - m_k) / s_k) / s_k · Π_{j≠k} Φ((t - m_j) / s_j) dt.

All k share one grid over [max_k(m_k - 6 s_k), max_k(m_k + 6 s_k)]: the largest of them lies below
or above it with probability under 1e-9 a normal. Because the grid starts at that maximum, an
offer's Φ has reached 1 within 12 of its own sd; so at a distance y from the start only sds above
y / 12 still matter, and steps may grow in proportion to y. The nodes are therefore
y = a·(e^u - 1) for evenly spaced u: the trapezoid rule in u sees a smooth function that vanishes
at both ends, where it converges faster than any power of the step. Forty-eight nodes give p within
2e-8 for sds up to twentyfold apart and 5e-6 up to a hundredfold, a twentieth of a bucket of the
draw; narrower ones are widened to that (see `NARROWEST`).

An offer is drawn from the vector this returns, and that vector is what is logged, so its error
would cost a little efficiency and never validity.

Another rule stands beside it: `optimistic_probabilities`, where one normal raises all offers by
their uncertainty. Those that need no uncertainty at all are in `choice_rules.py`.
"""

from typing import Any

import numpy as np
from scipy.special import ndtr

from recommender.weighing.choice_rules import (
    BEST,
    NUMPY,
    Array,
    Backend,
    Rule,
    plain_probabilities,
    require_an_eligible_offer,
)

NODES = 48
WIDTH = 6.0  # sds to each side of an offer's mean
GRADING = 3.0  # steps are even up to about this many of the smallest sd, and grow from there
NARROWEST = 0.01  # an sd below this part of the row's largest is raised to it
# Sds of 0 become this part of the means, so that equal offers share evenly; and offers whose means
# and sds differ by less are equal.
RELATIVE_SD = 1e-9
LEAST_SD = 1e-200  # the same for means of 0
# Sds of the difference to the leader beyond which an offer is left out: its chance is under 1e-8,
# less than the error of the quadrature and a ten-thousandth of a bucket of the draw.
HOPELESS = 5.7

# The floor falls as this power of the number of rewards. With less than 1/2, offers are still shown
# often enough for intervals from adaptive data to hold (Hadad et al. 2021); a floor that never fell
# would cost more than all of learning.
FALL = 0.45
LEAST_FLOOR = 1e-4  # one bucket of the draw

EVEN = np.linspace(0.0, 1.0, NODES)  # (Q,)


def offer_weights(
    mean: Array,
    sd: Array,
    eligible: Array,
    *,
    floor: float,
    rule: Rule = BEST,
    backend: Backend = NUMPY,
) -> Array:
    """Give each eligible offer its chance by a rule, and never less than the floor.

    Args:
        mean: Predicted reward of each offer, shape (n, K).
        sd: Standard deviation of the prediction, shape (n, K), at least 0.
        eligible: Which offers may be chosen, shape (n, K).
        floor: Least probability of an eligible offer, see `with_floor`.
        rule: How predictions become chances.
        backend: The library that the arrays belong to.

    Raises:
        ValueError: A row has no eligible offer.
    """
    if rule.needs_no_sd:
        p = plain_probabilities(mean, eligible, rule=rule, backend=backend)
    elif rule.is_optimistic:
        p = optimistic_probabilities(mean, sd, eligible, backend=backend)
    else:
        p = _best_among_many(mean, sd, eligible, backend=backend)
    return with_floor(p, eligible, floor=floor, backend=backend)


def best_arm_probabilities(
    mean: Array, sd: Array, eligible: Array, *, backend: Backend = NUMPY
) -> Array:
    """Integrate the probability that each eligible offer beats all other eligible ones.

    Args:
        mean: Predicted reward of each offer, shape (..., K).
        sd: Standard deviation of the prediction, shape (..., K), at least 0.
        eligible: Which offers may be chosen, shape (..., K).
        backend: The library that the arrays belong to.

    Returns:
        Rows that sum to 1. A hopeless offer gets 0: add a floor.

    Raises:
        ValueError: A row has no eligible offer.
    """
    xp = backend.xp
    require_an_eligible_offer(eligible)
    mean, sd = _fill_ineligible(mean, sd, eligible, xp=xp)
    start = xp.amax(mean - WIDTH * sd, axis=-1, keepdims=True)  # (..., 1)
    end = xp.amax(mean + WIDTH * sd, axis=-1, keepdims=True)
    grading = GRADING * xp.amin(sd, axis=-1, keepdims=True)
    growth = xp.exp(
        xp.log1p((end - start) / grading) * xp.asarray(EVEN, device=mean.device)
    )  # (..., 1) * (Q,) -> (..., Q); also dy/du but for a constant
    y = grading * (growth - 1.0)  # (..., Q)

    z = (y[..., None, :] - (mean - start)[..., :, None]) / sd[..., :, None]  # (..., K, Q)
    # The grid starts where every z is at least -6, so no Φ is near 0 and logs are not needed.
    below = backend.ndtr(z)
    # A mean of -inf would spoil the grid; leaving the factor out is the exact mask.
    below = xp.where(eligible[..., :, None], below, 1.0)
    others = xp.prod(below, -2)[..., None, :] / below  # (..., 1, Q) / (..., K, Q)
    density = others * xp.exp(-0.5 * z * z)
    p = (density @ growth[..., :, None])[..., 0]  # (..., K, Q) @ (..., Q, 1) -> (..., K)
    p = p / (sd / grading)  # dividing by sd alone would overflow for the tiniest
    p = xp.where(eligible, p, 0.0)
    return p / p.sum(axis=-1, keepdims=True)


def _best_among_many(mean: Array, sd: Array, eligible: Array, *, backend: Backend) -> Array:
    """Do as `best_arm_probabilities` for rows, (n, K), without the offers that are hopeless.

    Customers with as many contenders are treated together, so that nobody waits for others' long
    lists.
    """
    xp = backend.xp
    require_an_eligible_offer(eligible)
    able = contenders_many(mean, sd, eligible, backend=backend)
    count = able.sum(-1)  # (n,)
    order = xp.argsort(count)
    p = xp.zeros_like(mean)
    for first in range(0, len(order), backend.at_once):
        rows = order[first : first + backend.at_once]
        longest = int(count[rows[-1]])
        # The contenders come first, in their order.
        columns = xp.argsort(~able[rows], stable=True)[:, :longest]  # (r, m)
        pick = (rows[:, None], columns)
        p[pick] = best_arm_probabilities(mean[pick], sd[pick], able[pick], backend=backend)
    return p


def optimistic_probabilities(
    mean: Array, sd: Array, eligible: Array, *, backend: Backend = NUMPY
) -> Array:
    """Work out how often each eligible offer leads when one |z| raises them all.

    Offers are taken at m_k + |z| s_k with the same z ~ N(0, 1) for all of them, and the highest is
    chosen (RandUCB in its coupled form, Vaswani et al. 2020): an upper confidence bound whose
    height is drawn. Along |z| the leaders are the upper envelope of straight lines, each steeper
    than the one before; between the corners where an offer takes over and is overtaken lies its
    probability, 2 Φ(overtaken) - 2 Φ(taken over). Nothing is approximated.

    Args:
        mean: Predicted reward of each offer, shape (n, K).
        sd: Standard deviation of the prediction, shape (n, K), at least 0.
        eligible: Which offers may be chosen, shape (n, K).
        backend: The library that the arrays belong to.

    Returns:
        Rows that sum to 1. An offer that never leads gets 0: add a floor.

    Raises:
        ValueError: A row has no eligible offer.
    """
    xp = backend.xp
    require_an_eligible_offer(eligible)
    size = xp.where(eligible, xp.abs(mean) + sd, 0.0)
    alike = RELATIVE_SD * xp.amax(size, axis=-1, keepdims=True)  # (n, 1)
    p = xp.zeros_like(mean)
    rows = xp.arange(mean.shape[0], device=mean.device)
    leader = xp.argmax(xp.where(eligible, mean, -xp.inf), -1)
    passed = xp.zeros_like(mean[:, 0])  # P(|z| < the corner where the leader took over)
    while len(rows):
        able, least = eligible[rows], alike[rows]  # (r, K), (r, 1)
        lead = mean[rows, leader][:, None] - mean[rows]  # (r, K)
        rise = sd[rows] - sd[rows, leader][:, None]
        steeper = able & (rise > least)
        corner = xp.where(steeper, lead / xp.where(steeper, rise, 1.0), xp.inf)
        # From here on (2 Φ - 1 is the distribution of |z|) the next one leads.
        reached = 2.0 * backend.ndtr(xp.amin(corner, axis=-1)) - 1.0  # (r,)
        reached = xp.maximum(reached, passed)
        # Whoever equals the leader shares with it.
        equal = able & (xp.abs(lead) <= least) & (xp.abs(rise) <= least)
        p[rows] += ((reached - passed) / equal.sum(-1))[:, None] * equal
        goes_on = reached < 1.0
        rows, passed = rows[goes_on], reached[goes_on]
        leader = xp.argmin(corner, -1)[goes_on]
    return p


def optimistic_among(mean: Array, sd: Array) -> Array:
    """Do as `optimistic_probabilities` for one customer and offers that are all eligible, (K,)."""
    alike = RELATIVE_SD * (np.abs(mean) + sd).max()
    p, passed, leader = np.zeros_like(mean), 0.0, int(mean.argmax())
    while passed < 1.0:
        lead, rise = mean[leader] - mean, sd - sd[leader]
        equal = (np.abs(lead) <= alike) & (np.abs(rise) <= alike)
        steeper = np.flatnonzero(rise > alike)
        reached = 1.0
        if len(steeper):
            corner = lead[steeper] / rise[steeper]
            leader = int(steeper[corner.argmin()])
            reached = max(2.0 * float(ndtr(corner.min())) - 1.0, passed)
        p[equal] += (reached - passed) / np.count_nonzero(equal)
        passed = reached
    return p


def contenders(mean: Array, sd: Array, eligible: Array) -> Array:
    """Tell which offers of one customer are best with a chance that is worth working out.

    An offer is beaten by the one of the greatest mean, the leader, but with probability
    Φ(-gap / √(sd² + sd_leader²)).

    Args:
        mean: Predicted rewards, shape (K,).
        sd: Their standard deviations or upper bounds of these, shape (K,).
        eligible: Which offers may be chosen, shape (K,), at least one.
    """
    leader = int(np.where(eligible, mean, -np.inf).argmax())
    gap = np.maximum(mean[leader] - mean, 0.0)
    return eligible & (gap * gap <= HOPELESS**2 * (sd * sd + sd[leader] ** 2))


def contenders_many(mean: Array, sd: Array, eligible: Array, *, backend: Backend = NUMPY) -> Array:
    """Do as `contenders` for many customers, each array (n, K)."""
    xp = backend.xp
    leader = xp.argmax(xp.where(eligible, mean, -xp.inf), -1)[:, None]  # (n, 1)
    each = xp.arange(mean.shape[0], device=mean.device)[:, None]
    gap = xp.clip(mean[each, leader] - mean, 0.0, None)
    return eligible & (gap * gap <= HOPELESS**2 * (sd * sd + sd[each, leader] ** 2))


def best_among(mean: Array, sd: Array) -> Array:
    """Do as `best_arm_probabilities` for one customer and offers that are all eligible, (K,).

    It is the same sum in as few steps as numpy allows: this is what every decision waits for.
    """
    sd = _widen(mean, sd, xp=np)
    start = (mean - WIDTH * sd).max()
    end = (mean + WIDTH * sd).max()
    grading = GRADING * sd.min()
    growth = np.exp(np.log1p((end - start) / grading) * EVEN)  # (Q,)
    z = (grading * (growth - 1.0) - (mean - start)[:, None]) / sd[:, None]  # (K, Q)
    below = ndtr(z)
    np.multiply(z, z, out=z)
    z *= -0.5
    density = np.exp(z, out=z)
    density /= below
    p = (density @ (growth * below.prod(axis=0))) / (sd / grading)
    return p / p.sum()


def with_floor(p: Array, eligible: Array, *, floor: float, backend: Backend = NUMPY) -> Array:
    """Mix in the uniform choice so that no eligible offer falls below the floor.

    Among K eligible offers, p ← (1 - K ε) p + ε with ε = min(floor, 1 / (2 K)): chance never takes
    more than half of the traffic.

    Args:
        p: Probabilities, shape (..., K), 0 where not eligible, rows summing to 1.
        eligible: Which offers may be chosen, shape (..., K).
        floor: Least probability of an eligible offer.
        backend: The library that the arrays belong to.

    Raises:
        ValueError: A row has no eligible offer.
    """
    xp = backend.xp
    require_an_eligible_offer(eligible)
    share = xp.where(eligible, xp.ones_like(p), 0.0)
    share = share / share.sum(axis=-1, keepdims=True)
    # With share = 1 / K on eligible offers, least is ε; one offer alone keeps exactly p = 1.
    least = xp.clip(share * 0.5, None, floor)
    mixed = (1.0 - least.sum(axis=-1, keepdims=True)) * p + least
    return mixed / mixed.sum(axis=-1, keepdims=True)


def floor_after(floor: float, *, learned: float) -> float:
    """Lower the floor as rewards come in: floor · (1 + learned)^-0.45, at least one bucket.

    Args:
        floor: What it is at the beginning.
        learned: Number of rewards learned from, at least 0.
    """
    return max(floor * float((1.0 + learned) ** -FALL), min(floor, LEAST_FLOOR))


def _fill_ineligible(mean: Array, sd: Array, eligible: Array, *, xp: Any) -> tuple[Array, Array]:
    """Give ineligible offers harmless values inside the grid, and every sd its least width."""
    lowest = xp.amin(xp.where(eligible, mean, xp.inf), axis=-1, keepdims=True)
    mean = xp.where(eligible, mean, lowest)  # (..., K)
    widest = xp.amax(xp.where(eligible, sd, 0.0), axis=-1, keepdims=True)
    return mean, _widen(mean, xp.where(eligible, sd, widest), xp=xp)


def _widen(mean: Array, sd: Array, *, xp: Any) -> Array:
    """Give every sd its least width."""
    widest = xp.amax(sd, axis=-1, keepdims=True)
    magnitude = xp.amax(xp.abs(mean), axis=-1, keepdims=True)
    return xp.maximum(sd, NARROWEST * widest + RELATIVE_SD * magnitude + LEAST_SD)
