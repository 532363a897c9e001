"""Says what each offer would earn a decision, although a policy chose who got it.

A learning policy gives an offer to those who like it, and more of it after a lucky start, so that
the mean of what its takers did flatters it. Every decision logged the chance p of what was drawn:
counted 1 / p times, an offer's decisions stand for all in which it could have been drawn. The
self-normalised mean is Σ r / p over Σ 1 / p (`recommender/offpolicy` has it for whole
policies). Its error counts customers and not decisions: one customer's decisions are not
independent. As a ratio of two totals per customer it varies like (y - R x) / mean(x).

Chance puts customers into arms, and keeps some out of learning, before anything is drawn, so each
of these groups tells of everybody, though not alike: where a policy is sure of itself, a few of its
decisions count for very many. So a group's decisions count h / p times, with h = 1 / mean(1 / p)
over all of them in which the offer could have been drawn, whether it was or not: the inverse of the
second moment of 1 / p, which is what an estimate varies by. (Agarwal et al. 2017 join several
loggers like this.) It is scaled to a mean of 1 over decisions. Within a group nothing is weighed
by time or context, which would answer another question.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scipy.special import ndtri

from experiments.stats.moments import Moments
from recommender.offpolicy.support import LEAST_EFFECTIVE, ROUNDING, WEIGHT_ALARM
from recommender.offpolicy.values import Withheld

# The places of the columns that each customer contributes: decisions in which the offer could have
# been drawn, each counted h times; those in which it was, and what these earned, as they are; and
# the same by h / p. Net is what is left of revenue, less what the offer cost.
(
    ASKED,
    DRAWN,
    GOALS,
    REVENUE,
    WEIGHT,
    WEIGHTED_GOALS,
    WEIGHTED_REVENUE,
    WEIGHTED_NET,
) = range(8)


@dataclass(frozen=True, slots=True)
class Value:
    """What a decision for an offer earns on average, with its interval."""

    estimate: float
    low: float
    high: float


def value_of(moments: Moments, place: int, *, confidence: float) -> Value | Withheld:
    """Estimate what a decision would earn if it always were this offer.

    Args:
        moments: Of the columns above, over customers for whom the offer could have been drawn.
        place: The column of what is earned, by 1 / p.
        confidence: Of the interval.
    """
    reason = _find_doubt(moments)
    if reason is not None:
        return Withheld(reason)
    weight = moments.mean[WEIGHT]
    ratio = moments.mean[place] / weight
    residual = moments.combine({place: 1.0, WEIGHT: -ratio})
    margin = _margin(residual, confidence=confidence) / weight
    return Value(ratio, ratio - margin, ratio + margin)


def plain_mean(moments: Moments, place: int) -> float | None:
    """Return the mean of those decisions in which an offer was drawn: flattering, and known so."""
    drawn = moments.mean[DRAWN]
    return moments.mean[place] / drawn if drawn else None


def to_json(value: Value | Withheld) -> Mapping[str, Any]:
    """Write a value as plain JSON values."""
    return {"withheld": value.reason} if isinstance(value, Withheld) else asdict(value)


def _find_doubt(moments: Moments) -> str | None:
    """Say what keeps an offer's decisions from standing for all; None where nothing does."""
    weight = moments.mean[WEIGHT]
    square = moments.covariance[WEIGHT][WEIGHT] * (1 - 1 / max(moments.n, 1)) + weight**2
    effective = moments.n * weight**2 / square if square else 0.0
    if effective < LEAST_EFFECTIVE:
        return (
            f"Its decisions tell as much as those of {effective:.0f} customers would; at least "
            f"{LEAST_EFFECTIVE:.0f} are needed."
        )
    # Over all that could have been this offer, 1 / p has to add up to their number.
    surplus = moments.combine({WEIGHT: 1.0, ASKED: -1.0})
    if abs(surplus.mean[0]) > _margin(surplus, confidence=WEIGHT_ALARM) + ROUNDING:
        return (
            f"By their logged chances its decisions stand for {weight:.3g} a customer, where there "
            f"were {moments.mean[ASKED]:.3g}: those that came by the smallest chances, and count "
            "most, are too few to judge by."
        )
    return None


def _margin(column: Moments, *, confidence: float) -> float:
    """Return half the normal interval of a mean."""
    error = math.sqrt(column.covariance[0][0] / column.n)
    return float(ndtri(0.5 + confidence / 2)) * error
