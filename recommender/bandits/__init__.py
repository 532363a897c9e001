"""List the bandits that a policy can use, and load one by name."""

from importlib import import_module

from recommender.bandits.base import Bandit

# Dotted paths, because these modules load torch and web processes must not.
BANDITS: dict[str, str] = {
    "randomised_ucb": "recommender.bandits.randomised_ucb.RandomisedUCB",
    "linear_thompson": "recommender.bandits.thompson.LinearThompson",
    "gaussian_thompson": "recommender.bandits.gaussian.GaussianThompson",
    "beta_thompson": "recommender.bandits.beta.BetaThompson",
    "logistic_thompson": "recommender.bandits.logistic.LogisticThompson",
    "neural_linear": "recommender.bandits.neural_linear.NeuralLinear",
    "square_cb": "recommender.bandits.square_cb.SquareCB",
    "sequential": "recommender.bandits.sequential.Sequential",
}
# These learn from rewards of 0 to 1 alone.
RATE_KINDS = frozenset({"beta_thompson", "logistic_thompson"})
# These publish log-odds, from which no price in units of reward can be taken off.
LOG_ODDS_KINDS = frozenset({"logistic_thompson"})
# These look at what a customer was offered lately, and at what follows.
SEQUENCE_KINDS = frozenset({"sequential"})
# These expect offers to do alike of which alike is known.
FACT_KINDS = frozenset(
    {"randomised_ucb", "linear_thompson", "gaussian_thompson", "neural_linear", "square_cb"}
)
ABBREVIATIONS = {"ucb": "UCB", "cb": "CB"}


def load_bandit(name: str) -> type[Bandit]:
    """Import a bandit's class, and torch with it.

    Raises:
        ValueError: No bandit has this name.
    """
    if name not in BANDITS:
        raise ValueError(f"No bandit is called {name!r}; there are: {', '.join(BANDITS)}.")
    module, _, attribute = BANDITS[name].rpartition(".")
    bandit: type[Bandit] = getattr(import_module(module), attribute)
    return bandit


def bandit_choices() -> list[tuple[str, str]]:
    """Names and labels for a form."""
    return [
        (name, " ".join(ABBREVIATIONS.get(word, word.title()) for word in name.split("_")))
        for name in BANDITS
    ]
