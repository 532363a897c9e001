"""78 real experiments of ASOS, over time: Welch's test, an mSPRT and our looks."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from benchmarks.asos import (
    PRIOR_VARIANCE,
    RULES,
    Stream,
    count_calls,
    is_called_by_looks,
    msprt_ln_p,
    read_streams,
    take_looks,
)
from experiments.looks import take_look
from experiments.stats.many import compare_means_many

METRICS = pytest.mark.parametrize("metric", PRIOR_VARIANCE)

Counts = dict[int, dict[str, Counter[str]]]


@pytest.fixture(scope="module")
def streams(shared_file: Callable[[str], Path]) -> list[Stream]:
    return read_streams(shared_file("data/asos_experiments.parquet"))


@pytest.fixture(scope="module")
def counts(streams: list[Stream]) -> Counts:
    """Of the rules that others computed as well."""
    rules = {name: rule for name, rule in RULES.items() if rule is not is_called_by_looks}
    return count_calls(streams, rules=rules)


@METRICS
def test_welch_and_msprt_call_as_many_treatments_as_the_reference(
    counts: Counts, references: dict[str, Any], metric: int
) -> None:
    known = references["asos_experiments"]["welch_vs_mSPRT_alpha05"][str(metric)]
    ours = counts[metric]["mSPRT"]
    assert ours == {
        "both": known["both"],
        "only the rule": known["only_mSPRT"],
        "neither": known["neither"],
        "only Welch": known["only_welch"],
    }


@METRICS
def test_welch_at_every_look_calls_as_many_as_the_reference(
    counts: Counts, references: dict[str, Any], metric: int
) -> None:
    known = references["asos_experiments"]["naive_peeking_any_snapshot_welch_p_le_05"]
    peeked = counts[metric]["Welch at every look"]
    assert peeked["both"] + peeked["only the rule"] == known[str(metric)]


@pytest.mark.slow
def test_our_looks_agree_with_the_final_test_more_often_than_the_msprt(
    streams: list[Stream], counts: Counts
) -> None:
    for metric, found in count_calls(streams, rules={"ours": is_called_by_looks}).items():
        ours, msprt, peeked = (
            found["ours"],
            counts[metric]["mSPRT"],
            counts[metric]["Welch at every look"],
        )
        assert ours["both"] > msprt["both"]
        assert ours["both"] + ours["neither"] > msprt["both"] + msprt["neither"]
        # Effects that came and went are called by any rule that looks, by peeking most of all.
        assert ours["only the rule"] < 0.55 * peeked["only the rule"]


def test_welchs_p_value_is_scipys_on_the_last_snapshots(streams: list[Stream]) -> None:
    for stream in streams[::5]:
        (n_c, n_t), mean, variance = (
            values[:, -1] for values in (stream.n, stream.mean, stream.variance)
        )
        known = stats.ttest_ind_from_stats(
            mean[1], math.sqrt(variance[1]), n_t, mean[0], math.sqrt(variance[0]), n_c, False
        )
        ours = stream.compare().ln_p_value[-1]
        assert ours == pytest.approx(math.log(known.pvalue), rel=1e-9)


def test_evidence_keeps_its_logarithm_where_p_is_too_small_for_a_float(
    streams: list[Stream],
) -> None:
    strongest = min(streams, key=lambda stream: float(stream.compare().ln_p_value[-1]))
    n, mean, variance = (
        values[:, -1] for values in (strongest.n, strongest.mean, strongest.variance)
    )
    once, tenfold = (compare_means_many(k * n, mean, variance) for k in (1, 10))
    assert tenfold.p_value == 0.0
    # ln p is about -z^2 / 2, and z^2 grows with the customers.
    assert tenfold.ln_p_value == pytest.approx(10 * once.ln_p_value, rel=0.02)


def test_the_msprt_is_a_likelihood_ratio_mixed_over_effects() -> None:
    n = np.array([[900.0, 2000.0], [1100.0, 2500.0]])
    mean = np.array([[0.10, 0.10], [0.22, 0.22]])
    error, spread = math.sqrt(2 * (1 / n[:, 1]).mean()), math.sqrt(1e-3)

    def mixed(effect: float) -> float:
        ratio = stats.norm.pdf(0.12, effect, error) / stats.norm.pdf(0.12, 0.0, error)
        return float(ratio * stats.norm.pdf(effect, 0.0, spread))

    ratio, _ = integrate.quad(mixed, -0.5, 0.5)
    ln_p = msprt_ln_p(n, mean, np.ones((2, 2)), 1e-3)
    assert ln_p == pytest.approx(np.array([0.0, -math.log(ratio)]))


def test_boundaries_of_all_snapshots_are_those_of_one_look_after_another() -> None:
    sizes = (100.0, 110.0, 300.0, 550.0, 560.0, 1000.0)
    earlier: list[float] = []
    expected = []
    for index, size in enumerate(sizes):
        fraction = size / sizes[-1]
        look = take_look(fraction, earlier, comparisons=1, confidence=0.95)
        if look is not None:
            earlier.append(fraction)
            expected.append((index, look.number, look.boundary.upper, look.boundary.lower))
    found = [
        (index, look.number, look.boundary.upper, look.boundary.lower)
        for index, look in zip(*take_looks(sizes), strict=True)
    ]
    assert np.array(found) == pytest.approx(np.array(expected))
