"""Learn one rate for each offer from rewards of 0 or 1, whoever the customers are.

An offer's rate is Beta(λ c + Σ r, λ (1 - c) + n - Σ r) after n rewards r, where c is the rate of
all offers together and λ the prior's strength. Unlike with shared noise, an offer with a low rate
is known the better for it. Odds hold normals, so each Beta is published by its mean and standard
deviation; from some dozens of rewards on the difference is small.
"""

from collections.abc import Sequence

import numpy as np

from recommender.arrays import FloatArray, IntArray
from recommender.bandits.base import Statistics
from recommender.bandits.thompson import LinearThompson
from recommender.features import FeatureSpec
from recommender.odds import Odds

# The rate of all offers together begins as that of a reward and a failure.
BEGINNING = 1.0


class BetaThompson(LinearThompson):
    """Bernoulli rewards with one rate for each offer."""

    def accumulate(
        self, offer_index: IntArray, x: FloatArray, rewards: FloatArray, *, n_offers: int
    ) -> list[Statistics]:
        """Summarise decisions as one `Statistics` for each offer.

        Raises:
            ValueError: A reward lies outside 0 … 1, or as in `LinearThompson.accumulate`.
        """
        require_rates(rewards)
        return super().accumulate(offer_index, x, rewards, n_offers=n_offers)

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
        common = (BEGINNING + won.sum()) / (2.0 * BEGINNING + n.sum())
        total = strength + n
        rate = (strength * common + won) / total
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


def require_rates(rewards: FloatArray) -> None:
    """Refuse what cannot be learned as a rate.

    Raises:
        ValueError: A reward lies outside 0 … 1.
    """
    if ((rewards < 0.0) | (rewards > 1.0)).any():
        raise ValueError("Rates are learned from rewards between 0 and 1 alone.")
