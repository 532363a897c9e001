"""Learn from rewards of 0 to 1, as rates are, and from no others."""

from collections.abc import Sequence

from recommender.arrays import FloatArray, IntArray
from recommender.bandits.base import Statistics
from recommender.bandits.thompson import LinearThompson

# The rate of all offers together begins as that of a reward and a failure.
BEGINNING = 1.0


class RateBandit(LinearThompson):
    """Takes rewards of 0 to 1 alone."""

    def accumulate(
        self, offer_index: IntArray, x: FloatArray, rewards: FloatArray, *, n_offers: int
    ) -> list[Statistics]:
        """Summarise decisions as one `Statistics` for each offer.

        Raises:
            ValueError: A reward lies outside 0 … 1, or as in `LinearThompson.accumulate`.
        """
        require_rates(rewards)
        return super().accumulate(offer_index, x, rewards, n_offers=n_offers)


def common_rate(statistics: Sequence[Statistics]) -> float:
    """Return the rate of all offers together, never 0 or 1."""
    won = float(sum(each.b[0] for each in statistics))  # the intercept's Σ x r
    return (BEGINNING + won) / (2.0 * BEGINNING + sum(each.n for each in statistics))


def require_rates(rewards: FloatArray) -> None:
    """Refuse what cannot be learned as a rate.

    Raises:
        ValueError: A reward lies outside 0 … 1.
    """
    if ((rewards < 0.0) | (rewards > 1.0)).any():
        raise ValueError("Rates are learned from rewards between 0 and 1 alone.")
