"""Tries settings of our bandits and of other people's, and plays the best of each elsewhere.

Everybody has twelve settings (VW four), as a site would try. They are played in some worlds. After
a quarter of these, settings far behind the best of their package are given up, and packages far
behind the best one of all peers. The best of each package is then played in other worlds, because
the best of many was lucky too.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from recommender.arrays import FloatArray

Runs = Sequence[Mapping[str, float]]  # everybody's regret, world by world

US = "OfferLab"
GIVEN_UP = 1.1  # a setting, at so many times the least regret of its package
GIVEN_UP_WHOLE = 1.15  # a package, at so many times the least regret of all peers

OURS = [
    "randomised_ucb",
    "randomised_ucb exploration=0.3 floor=0.001",
    "randomised_ucb exploration=0.6 floor=0.001",
    "randomised_ucb exploration=1 floor=0.001",
    "randomised_ucb exploration=0.6 prior_strength=30 floor=0.001",
    "randomised_ucb exploration=1 prior_strength=30 floor=0.001",
    "randomised_ucb memory_days=10 floor=0.001",
    "randomised_ucb memory_days=20 floor=0.001",
    "linear_thompson exploration=0.3 floor=0.001",
    "linear_thompson",
    "linear_thompson prior_strength=30",
    "logistic_thompson exploration=0.3 prior_strength=30 floor=0.001",
]
THEIRS = [
    *(f"MABWiser LinUCB alpha={a} l2_lambda={b}" for a, b in product((0.1, 0.3, 1), (1, 10))),
    *(f"MABWiser LinTS alpha={a} l2_lambda={b}" for a, b in product((0.03, 0.1, 0.3), (1, 10))),
    *(f"contextualbandits alpha={a} lambda_={b}" for a, b in product((0.1, 0.3, 1), (1, 10, 30))),
    *(f"contextualbandits LogisticUCB percentile={p}" for p in (60, 80, 95)),
    *(f"bayesianbandits lam={b}" for b in (1, 10, 100)),
    *(f"bayesianbandits lam=10 keeps={share}" for share in (0.999, 0.9998)),
    *(f"bayesianbandits lam=10 quantile={q}" for q in (0.68, 0.9)),
    "bayesianbandits lam=10 quantile=0.68 keeps=0.9998",
    "bayesianbandits evidence",
    "bayesianbandits evidence keeps=0.9998",
    *(f"bayesianbandits logit alpha={a}" for a in (1, 10)),
    *(f"VW squarecb gamma_scale={g}" for g in (10, 100, 1000)),
    "VW squarecb gamma_scale=1000 learning_rate=2",
]


def package(label: str) -> str:
    """Return whose a player is."""
    name = label.partition(" ")[0]
    return US if label in OURS else name


def learns_rates(label: str) -> bool:
    """Whether a player takes rewards of 0 or 1 alone."""
    return "logi" in label.lower()


def means(runs: Runs) -> dict[str, float]:
    """Return the mean regret of those who have played to the end, the least first."""
    mean = {label: float(np.mean([run[label] for run in runs])) for label in runs[-1]}
    return dict(sorted(mean.items(), key=lambda item: item[1]))


def not_far_behind(runs: Runs) -> list[str]:
    """Return who is worth playing on; of ours some always are."""
    mean, best = means(runs), best_of_each(runs)
    least = min(mean[label] for owner, label in best.items() if owner != US)
    bound = {
        owner: GIVEN_UP * mean[label]
        for owner, label in best.items()
        if owner == US or mean[label] <= GIVEN_UP_WHOLE * least
    }
    return [label for label, value in mean.items() if value <= bound.get(package(label), 0.0)]


def best_of_each(runs: Runs) -> dict[str, str]:
    """Return the best setting of each package that played to the end, the best package first."""
    best: dict[str, str] = {}
    for label in means(runs):
        best.setdefault(package(label), label)
    return best


def ratio_with_interval(
    ours: FloatArray, theirs: FloatArray, *, rng: np.random.Generator, draws: int = 10_000
) -> tuple[float, float, float]:
    """Divide mean regrets in the same worlds, each (n,), and add a 95% interval.

    Worlds are drawn anew with both their regrets: the percentiles of a paired bootstrap.
    """
    rows = rng.integers(len(ours), size=(draws, len(ours)))
    ratios = ours[rows].mean(axis=1) / theirs[rows].mean(axis=1)  # (draws,)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(ours.mean() / theirs.mean()), float(low), float(high)
