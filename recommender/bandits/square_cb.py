"""Learn as linear Thompson sampling does, and explore by how far offers are predicted to lie apart.

SquareCB (Foster & Rakhlin 2020) needs no posterior: p_k = 1 / (K + g (m_best - m_k)), with g in the
order of √(K n) over the noise after n rewards. Its chances are known exactly and fall slowly, as a
power and not as a bell: it explores more evenly than Thompson sampling does.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recommender.bandits.base import Statistics
from recommender.bandits.thompson import LinearThompson
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds


class SquareCB(LinearThompson):
    """Ridge regression for each offer, explored by inverse gaps."""

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
        odds = super().publish(
            statistics, offers=offers, features=features, floor=floor, version=version
        )
        noise = self.posterior(statistics).noise_variance
        learned = sum(each.n for each in statistics)
        spread = self.width(features.size) * np.sqrt(noise)
        return replace(odds, gap_scale=float(np.sqrt(len(offers) * learned) / spread))
