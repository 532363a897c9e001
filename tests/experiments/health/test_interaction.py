"""Other experiments that change the effect: planted ones are found, absent ones are not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from experiments.health.base import Finding, Overlap
from experiments.health.interaction import check_interaction
from experiments.stats.heterogeneity import judge_homogeneity
from experiments.stats.moments import Moments
from tests.experiments.health.contexts import make_context, make_moments

Shares = dict[tuple[str, str], float]


def make_overlap(
    rng: np.random.Generator, shares: Shares, *, name: str = "Other", n: int = 5000
) -> Overlap:
    cells = {}
    for arms, share in shares.items():
        count = int(rng.binomial(n, share))
        mean = count / n
        cells[arms] = make_moments(n, mean, mean * (1 - mean) * n / (n - 1))
    return Overlap(name, cells)


def check(*overlaps: Overlap) -> Finding | None:
    return check_interaction(replace(make_context(), overlaps=overlaps))


ADDITIVE = {("A", "on"): 0.10, ("A", "off"): 0.15, ("B", "on"): 0.12, ("B", "off"): 0.17}
CROSSED = {**ADDITIVE, ("B", "on"): 0.08}


def test_an_effect_that_turns_round_is_found() -> None:
    finding = check(make_overlap(np.random.default_rng(1), CROSSED, name="Free delivery"))
    assert finding is not None
    assert (finding.code, finding.severity) == ("interaction", "warning")
    assert "which arm of Free delivery a customer is in" in finding.detail
    means = finding.evidence["found"][0]["means"]
    assert set(means) == {"A", "B"}
    assert set(means["A"]) == {"on", "off"}


def test_the_p_value_is_that_of_cochrans_q_among_all_experiments() -> None:
    rng = np.random.default_rng(2)
    overlaps = [
        make_overlap(rng, shares, name=str(i))
        for i, shares in enumerate([CROSSED, ADDITIVE, ADDITIVE])
    ]
    raw = []
    for overlap in overlaps:
        differences, errors = [], []
        for their in ("on", "off"):
            a, b = overlap.cells["A", their], overlap.cells["B", their]
            differences.append(b.mean[0] - a.mean[0])
            errors.append(a.covariance[0][0] / a.n + b.covariance[0][0] / b.n)
        raw.append(math.exp(judge_homogeneity(differences, errors).ln_p_value))
    finding = check(*overlaps)
    assert finding is not None
    oracle = multipletests(raw, method="fdr_bh")[1]
    assert [found["experiment"] for found in finding.evidence["found"]] == ["0"]
    assert finding.evidence["found"][0]["p_value"] == pytest.approx(oracle[0], rel=1e-6)
    assert finding.evidence["tests"] == 3


def test_several_experiments_are_named_the_clearest_first() -> None:
    rng = np.random.default_rng(3)
    mild = make_overlap(rng, {**ADDITIVE, ("B", "on"): 0.09}, name="mild")
    strong = make_overlap(rng, CROSSED, name="strong", n=20_000)
    finding = check(mild, strong)
    assert finding is not None
    assert [found["experiment"] for found in finding.evidence["found"]] == ["strong", "mild"]
    assert "strong and mild" in finding.detail


@pytest.mark.parametrize(
    "cells",
    [
        {},
        {("A", "on"): make_moments(900, 1.0, 1.0), ("B", "on"): make_moments(900, 9.0, 1.0)},
        {
            ("A", "on"): make_moments(900, 1.0, 1.0),
            ("A", "off"): make_moments(900, 1.0, 1.0),
            ("B", "on"): make_moments(900, 9.0, 1.0),
        },
        {
            (our, their): make_moments(500, mean, mean * (1 - mean))
            for (our, their), mean in zip(CROSSED, (0.01, 0.01, 0.01, 0.9), strict=True)
        },
        {(our, their): make_moments(500, 1.0, 0.0) for our, their in CROSSED},
    ],
    ids=["nobody", "one arm of theirs", "a missing cell", "few conversions", "no variation"],
)
def test_cells_that_cannot_be_judged_are_not(cells: dict[tuple[str, str], Moments]) -> None:
    assert check(Overlap("Other", cells)) is None


def test_without_interactions_warnings_are_as_rare_as_promised() -> None:
    """Ten experiments each time: at most .01 of runs may name any."""
    rng = np.random.default_rng(4)
    runs = 300
    found = sum(
        check(*(make_overlap(rng, ADDITIVE) for _ in range(10))) is not None for _ in range(runs)
    )
    assert found / runs <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / runs)
