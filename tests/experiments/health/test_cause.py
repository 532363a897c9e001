"""The search for the cause: a planted one comes first."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from experiments.health.base import Phase, Segment
from experiments.health.cause import find_suspects
from experiments.health.split import Split
from tests.experiments.health.contexts import make_phase

DIMENSIONS = {"device": 3, "browser": 5, "country": 8}
SHAPE = tuple(DIMENSIONS.values())

Counts = list[NDArray[np.int64]]


def make_phases(
    weights: list[tuple[int, ...]], counts: Counts, where: NDArray[np.bool_]
) -> tuple[Phase, ...]:
    return tuple(
        make_phase(*zip(phase, n[:, where].sum(axis=1).tolist(), strict=True))
        for phase, n in zip(weights, counts, strict=True)
    )


def make_segments(weights: list[tuple[int, ...]], counts: Counts) -> list[Segment]:
    segments = []
    for axis, (dimension, size) in enumerate(DIMENSIONS.items()):
        index = np.arange(size).reshape([-1 if i == axis else 1 for i in range(3)])
        segments += [
            Segment(
                dimension,
                str(value),
                make_phases(weights, counts, np.broadcast_to(index == value, SHAPE)),
            )
            for value in range(size)
        ]
    return segments


def plant(
    rng: np.random.Generator, weights: list[tuple[int, ...]]
) -> tuple[list[Segment], Split, tuple[str, str]]:
    """Draw an experiment in which one arm loses some of one segment's customers.

    Dimensions depend on each other: all their combinations have random shares.
    """
    while True:
        shares = rng.dirichlet(np.full(np.prod(SHAPE), 0.5)).reshape(SHAPE)
        axis = int(rng.integers(3))
        value = int(rng.integers(SHAPE[axis]))
        lost = np.zeros(SHAPE)
        lost[tuple(value if i == axis else slice(None) for i in range(3))] = rng.uniform(0.1, 0.4)
        counts = []
        for phase in weights:
            n = rng.poisson(np.multiply.outer(np.array(phase) / 10_000, 40_000 * shares))
            n[-1] = rng.binomial(n[-1], 1 - lost)
            counts.append(n)
        whole = Split.of(make_phases(weights, counts, np.ones(SHAPE, dtype=bool)))
        if whole.test()[2] < 0.001:
            return make_segments(weights, counts), whole, (list(DIMENSIONS)[axis], str(value))


@pytest.mark.parametrize(
    "weights",
    [[(5000, 5000)], [(9000, 500, 500), (4000, 3000, 3000)]],
    ids=["two arms", "three arms and two phases"],
)
def test_a_planted_cause_ranks_first(weights: list[tuple[int, ...]]) -> None:
    """The bar: in nine of ten experiments whose split is found to be broken."""
    rng = np.random.default_rng(51)
    runs, first = 100, 0
    for _ in range(runs):
        segments, whole, cause = plant(rng, weights)
        best = find_suspects(whole, segments)[0]
        first += (best.dimension, best.value) == cause
    assert first / runs >= 0.9


def test_a_broken_segment_comes_before_a_larger_gap_in_what_holds_it() -> None:
    # Everybody from abroad is on a phone: the phones are broken only as far as they hold them.
    abroad = Segment("country", "abroad", (make_phase((5000, 1200), (5000, 900)),))
    home = Segment("country", "home", (make_phase((5000, 6000), (5000, 6000)),))
    phone = Segment("device", "phone", (make_phase((5000, 4200), (5000, 3900)),))
    desktop = Segment("device", "desktop", (make_phase((5000, 3000), (5000, 3000)),))
    whole = Split.of([make_phase((5000, 7200), (5000, 6900))])
    best, *others = find_suspects(whole, [phone, desktop, abroad, home])
    assert (best.value, best.is_cause) == ("abroad", True)
    assert best.chi2 == pytest.approx(stats.chisquare([1200, 900]).statistic)
    assert best.p_value == pytest.approx(4 * stats.chisquare([1200, 900]).pvalue)
    assert not any(other.is_cause for other in others if other.value in ("home", "desktop"))


def test_where_all_segments_are_broken_none_is_the_cause() -> None:
    segments = [
        Segment("device", name, (make_phase((5000, 2000), (5000, 1800)),)) for name in "xyz"
    ]
    whole = Split.of([make_phase((5000, 6000), (5000, 5400))])
    assert not any(suspect.is_cause for suspect in find_suspects(whole, segments))


def test_segments_of_a_few_or_of_nearly_everybody_are_not_judged() -> None:
    few = Segment("device", "watch", (make_phase((5000, 4), (5000, 4)),))
    most = Segment("device", "other", (make_phase((5000, 996), (5000, 896)),))
    whole = Split.of([make_phase((5000, 1000), (5000, 900))])
    assert find_suspects(whole, [few, most]) == []


def test_without_a_mismatch_a_segment_is_seldom_called_the_cause() -> None:
    rng = np.random.default_rng(3)
    runs, named = 200, 0
    for _ in range(runs):
        counts = [rng.poisson(np.full((2, *SHAPE), 50.0))]
        weights: list[tuple[int, ...]] = [(5000, 5000)]
        whole = Split.of(make_phases(weights, counts, np.ones(SHAPE, dtype=bool)))
        suspects = find_suspects(whole, make_segments(weights, counts))
        named += any(suspect.is_cause for suspect in suspects)
    assert named / runs <= 0.01 + 3 * (0.01 * 0.99 / runs) ** 0.5
