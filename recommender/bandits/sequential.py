"""Decide over time: weigh what an offer earns now against what it makes of the customer.

What each offer is worth, with all that follows, is learned from logged sequences by fitted Q
iteration with a conservative penalty (`fitted_q.py`). To wait is an offer like any other: that of
nothing. Offers come with chances proportional to exp(Q / temperature), mixed with the floor; the
temperature is `exploration` times the standard error of an offer's worth,

    temperature = exploration · s √(K d / n),

with s the standard deviation of a reward, K offers, d columns and n decisions: what cannot be told
apart yet comes about equally often, and the better offer alone in the end.
"""

from collections.abc import Sequence

import numpy as np

from recommender.bandits.base import DEFAULTS, Hyperparameters, Statistics, Steps
from recommender.bandits.fitted_q import Fitting, fit_worth
from recommender.bandits.thompson import LinearThompson
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds

EXPLORATION = 1.0  # where a policy does not say otherwise
LEAST_DECISIONS = 1.0  # with none, temperatures are those of a single one


class Sequential(LinearThompson):
    """Linear worths for each offer, chosen by a softmax."""

    def __init__(self, hyperparameters: Hyperparameters = DEFAULTS, *, device: str = "cpu") -> None:
        super().__init__(hyperparameters, device=device)
        self._steps: Steps | None = None

    def read_steps(self, steps: Steps) -> None:
        """Take the decisions that are remembered; what is published next follows from them."""
        self._steps = steps if len(steps.reward) else None

    def publish(
        self,
        statistics: Sequence[Statistics],
        *,
        offers: tuple[str, ...],
        features: FeatureSpec,
        floor: float,
        version: int,
    ) -> Odds:
        """Learn from the steps, or from the statistics alone, one for each offer."""
        k, d = len(offers), features.size
        if self._steps is None:
            posterior = self.posterior(statistics)
            mean = posterior.mean.cpu().numpy()
            noise = posterior.noise_variance**0.5
            temperature = noise * self._relative(k, d, n=sum(each.n for each in statistics))
        else:
            relative = self._relative(k, d, n=float(self._steps.weight.sum()))
            settings = self.hyperparameters
            worth = fit_worth(
                self._steps,
                Fitting(
                    prior=settings.prior_strength,
                    ahead_days=settings.ahead_days,
                    caution=settings.caution,
                    temperature=relative,
                ),
            )
            mean, temperature = worth.coefficients, relative * worth.scale
        return Odds(
            offers=offers,
            mean=mean,
            factor=np.zeros((k, d, d)),
            floor=floor,
            features=features,
            version=version,
            temperature=temperature,
        )

    def _relative(self, k: int, d: int, *, n: float) -> float:
        """Return the temperature in standard deviations of a reward."""
        exploration = self.hyperparameters.exploration
        width = EXPLORATION if exploration is None else exploration
        return float(width * np.sqrt(k * d / max(n, LEAST_DECISIONS)))
