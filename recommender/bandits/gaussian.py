"""Learn one mean for each offer, whoever the customers are.

It is linear Thompson sampling with the intercept alone: for little traffic, or where nothing is
known of customers. Statistics are the same, so that a policy can change from one to the other.
"""

from collections.abc import Sequence

import numpy as np

from recommender.bandits.base import Statistics
from recommender.bandits.thompson import LinearThompson
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds

NOTHING_KNOWN = FeatureSpec(())


class GaussianThompson(LinearThompson):
    """Normal rewards around one mean for each offer, with shared noise."""

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
        alone = super().publish(
            [_keep_intercept(each) for each in statistics],
            offers=offers,
            features=NOTHING_KNOWN,
            floor=floor,
            version=version,
        )
        k, d = len(offers), features.size
        mean, factor = np.zeros((k, d)), np.zeros((k, d, d))
        mean[:, :1], factor[:, :1, :1] = alone.mean, alone.factor
        return Odds(
            offers=offers,
            mean=mean,
            factor=factor,
            floor=floor,
            features=features,
            version=version,
            taught=alone.taught,
        )


def _keep_intercept(statistics: Statistics) -> Statistics:
    """Forget all columns but the first, which is always 1."""
    return Statistics(
        precision_update=statistics.precision_update[:1, :1],
        b=statistics.b[:1],
        n=statistics.n,
        s=statistics.s,
    )
