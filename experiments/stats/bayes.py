"""Reads an experiment as a Bayesian would, and says how often that reading errs when peeked at.

The effect is theta, the logarithm of treatment over control, estimated by y with standard error s.
Theta is normal around 0 before the experiment, with standard deviation tau, so that afterwards it
is normal with mean w y and variance w s^2, w = tau^2 / (tau^2 + s^2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import log_ndtr, ndtr, ndtri

from experiments.stats.estimate import Estimate, Interval
from experiments.stats.heterogeneity import find_variance
from experiments.stats.sequential import Boundary, crossing_probabilities

# With fewer past experiments their spread says more about luck than about effects.
FEWEST_PAST = 10
# A history in which chance explains everything still does not prove that nothing ever works. This
# width has 90% of effects within 0.8%: narrower than the history cited below.
LEAST_SD = 0.005


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of log-ratios before any data: normal around no effect.

    Attributes:
        sd: Standard deviation tau; infinite for a flat prior, which believes in any effect.
        source: Where it comes from, in words for an analyst.
    """

    sd: float
    source: str

    def __post_init__(self) -> None:
        """Refuse a width that is none."""
        if not self.sd > 0:
            raise ValueError(f"a prior needs a positive standard deviation, not {self.sd}")


# Of 6,700 e-commerce experiments 90% changed revenue by less than 1.2% either way, a standard
# deviation of 0.7%, and the best category of changes gained 2.9% on average (Browne & Swarbrick
# Jones 2017). Offers and e-mails do more than the web pages studied there, so this is an order of
# magnitude wider: 95% of effects lie between -18% and +22%. It still reins in what a few
# conversions seem to say.
WEAK = Prior(0.1, "weakly informative: 95% of effects between -18% and +22%")


@dataclass(frozen=True, slots=True)
class Reading:
    """What to believe of an effect after the data.

    Attributes:
        lift: Median of treatment / control - 1.
        interval: Where the lift lies with probability `confidence`, as much below as above.
        chance_to_beat: Probability that the treatment is better than the control.
        loss_of_shipping: Expected loss if the treatment is shipped and may be worse, as a share of
            the control's mean: the average over what is believed, with 0 where it is better.
        loss_of_keeping: The same if the control is kept and the treatment may be better.
        prior: What was believed before.
        confidence: Of the interval.
    """

    lift: float
    interval: Interval
    chance_to_beat: float
    loss_of_shipping: float
    loss_of_keeping: float
    prior: Prior
    confidence: float


@dataclass(frozen=True, slots=True)
class StoppingError:
    """How often, without an effect, a rule stops and calls the treatment better, or worse."""

    better: float
    worse: float

    @property
    def total(self) -> float:
        """How often it calls either."""
        return self.better + self.worse


def fit_prior(effects: Sequence[float], standard_errors: Sequence[float]) -> Prior:
    """Learn the width of the prior from past experiments, or fall back on the weak one.

    The variance of the true effects around 0, by Paule & Mandel. Give every experiment that was
    run, not only those that shipped: a history of winners has no losers to learn from.

    Args:
        effects: Log-ratios of past experiments.
        standard_errors: Of the same length.
    """
    if len(effects) < FEWEST_PAST:
        return WEAK
    variance = find_variance(effects, [error**2 for error in standard_errors], mean=0.0)
    sd = max(math.sqrt(variance), LEAST_SD)
    return Prior(sd, f"fitted to {len(effects)} past experiments: standard deviation {sd:.2g}")


def find_log_ratio(estimate: Estimate) -> tuple[float, float] | None:
    """Return the logarithm of treatment over control and its standard error, from a lift.

    Its interval is even on that scale; with a quantile of Student's instead of the normal, what is
    returned is larger by that. None where the estimate has no lift, or one that ends at -100%.
    """
    if estimate.relative is None or estimate.relative_interval is None:
        return None
    if estimate.relative_interval.low <= -1.0:
        return None
    on_log_scale = Interval(
        math.log1p(estimate.relative_interval.low), math.log1p(estimate.relative_interval.high)
    )
    error = on_log_scale.standard_error(confidence=estimate.confidence)
    return math.log1p(estimate.relative), error


def read_effect(
    log_ratio: float,
    standard_error: float,
    *,
    prior: Prior,
    confidence: float = 0.95,
    higher_is_better: bool = True,
) -> Reading:
    """Combine an estimated log-ratio with a prior.

    With M and S the mean and standard deviation of theta afterwards, the loss of shipping is
    E max(1 - e^theta, 0) = Φ(-M/S) - e^(M + S²/2) Φ(-M/S - S), and that of keeping follows from
    E e^theta = e^(M + S²/2).

    Args:
        log_ratio: The estimate y.
        standard_error: Its standard error s, positive.
        prior: What was believed before.
        confidence: Of the interval.
        higher_is_better: The metric's good direction; where lower is better, so is a lower ratio.
    """
    if not standard_error > 0:
        raise ValueError(f"a standard error must be positive, not {standard_error}")
    weight = 1 / (1 + (standard_error / prior.sd) ** 2)
    mean, sd = weight * log_ratio, math.sqrt(weight) * standard_error
    reach = -float(ndtri((1 - confidence) / 2)) * sd
    z = mean / sd
    # As one exponential, so that a huge factor and a tiny probability never meet apart.
    lost = float(ndtr(-z)) - math.exp(mean + sd**2 / 2 + float(log_ndtr(-z - sd)))
    gained = math.exp(mean + sd**2 / 2 + float(log_ndtr(z + sd))) - float(ndtr(z))
    below, above = max(lost, 0.0), max(gained, 0.0)
    return Reading(
        lift=math.expm1(mean),
        interval=Interval(math.expm1(mean - reach), math.expm1(mean + reach)),
        chance_to_beat=float(ndtr(z if higher_is_better else -z)),
        loss_of_shipping=below if higher_is_better else above,
        loss_of_keeping=above if higher_is_better else below,
        prior=prior,
        confidence=confidence,
    )


def find_stopping_error(
    chance: float, standard_errors: Sequence[float], *, prior: Prior, effect: float = 0.0
) -> StoppingError:
    """Return how often the rule "stop when the chance to beat passes c or 1 - c" calls an effect.

    At look k the chance to beat passes c when |z| passes z_c sqrt(1 + s_k^2 / tau^2), so that the
    rule is group-sequential and its crossing probabilities are found by integration.

    Args:
        chance: The rule's c, in (0.5, 1).
        standard_errors: Of the log-ratio at each look, decreasing.
        prior: The rule's prior.
        effect: The true log-ratio; 0 gives false calls, anything else power.

    Raises:
        ValueError: c is not in (0.5, 1), or the standard errors do not decrease.
    """
    if not 0.5 < chance < 1:
        raise ValueError(f"the chance to stop at must lie between 0.5 and 1, not {chance}")
    pairs = zip(standard_errors, [*standard_errors[1:], 0.0], strict=True)
    if not standard_errors or any(not before > after for before, after in pairs):
        raise ValueError(f"standard errors must decrease from look to look: {standard_errors}")
    last = standard_errors[-1]
    boundaries = []
    for error in standard_errors:
        z = float(ndtri(chance)) * math.hypot(1.0, error / prior.sd)
        boundaries.append(Boundary((last / error) ** 2, z, -z, 0.0, 0.0))
    up, down = crossing_probabilities(boundaries, drift=effect / last)
    return StoppingError(float(up.sum()), float(down.sum()))
