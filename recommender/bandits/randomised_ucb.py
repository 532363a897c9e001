"""Learn as linear Thompson sampling does, and explore by upper bounds whose height is drawn.

Thompson sampling draws every offer's reward by itself. The highest of many draws is often that of
an offer of which little is known and less expected, so it tries more than it has to, the more so
the more offers there are; narrower draws cure that, and give up good offers after bad luck. Here
one draw raises all offers by so many of their own standard deviations (RandUCB, coupled; Vaswani,
Mehrabian, Durand & Kveton 2020): only what may be better than the favourite is tried, and the
posterior's width is taken as it is.
"""

from recommender.bandits.thompson import LinearThompson


class RandomisedUCB(LinearThompson):
    """Ridge regression for each offer, explored by one optimism for all of them."""

    is_optimistic = True

    def width(self, d: int) -> float:
        """Return what standard deviations are multiplied by, whatever the number of columns."""
        exploration = self.hyperparameters.exploration
        return 1.0 if exploration is None else exploration
