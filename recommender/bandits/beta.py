"""Learn one rate for each offer from rewards of 0 or 1, whoever the customers are.

An offer's rate is Beta(λ c + Σ r, λ (1 - c) + n - Σ r) after n rewards r, where c is the rate of
all offers together and λ the prior's strength. Unlike with shared noise, an offer with a low rate
is known the better for it. Odds hold normals, so each Beta is published by its mean and standard
deviation; from some dozens of rewards on the difference is small.
"""

from collections.abc import Sequence

import numpy as np

from recommender.bandits.base import Statistics
from recommender.bandits.rates import RateBandit, common_rate
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds


class BetaThompson(RateBandit):
    """Bernoulli rewards with one rate for each offer."""

    def publish(
        self,
        statistics: Sequence[Statistics],
        *,
        offers: tuple[str, ...],
        features: FeatureSpec,
        floor: float,
        version: int,
    ) -> Odds:
        """Learn from the statistics, one for each offer and in the same order."""
        n = np.array([each.n for each in statistics])
        won = np.array([each.b[0] for each in statistics])  # the intercept's Σ x r
        strength = self.hyperparameters.prior_strength
        total = strength + n
        rate = (strength * common_rate(statistics) + won) / total
        # Rounding may leave a rate of 0 or 1 slightly beyond.
        sd = np.sqrt(np.maximum(rate * (1.0 - rate), 0.0) / (total + 1.0))
        k, d = len(offers), features.size
        mean, factor = np.zeros((k, d)), np.zeros((k, d, d))
        mean[:, 0] = rate
        factor[:, 0, 0] = self.width(1) * sd
        return Odds(
            offers=offers,
            mean=mean,
            factor=factor,
            floor=floor,
            features=features,
            version=version,
        )
