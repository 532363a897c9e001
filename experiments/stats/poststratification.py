"""Compares arms within strata, such as countries, and puts the strata together again.

Chance gives one arm more customers from a rich country than the other. Weighting each stratum's
means by its share of all customers, W_k = n_k / N, takes that part of the noise away (Miratrix,
Sekhon & Yu 2013); it is to strata what regression is to covariates, and both can be done at once:

    m_a = sum over k of W_k m_ak,
    Cov(m_a, m_b) = sum of W_k^2 Cov(m_ak, m_bk) + sum of W_k (m_ak - m_a)(m_bk - m_b) / N.

The last part is there because the weights are estimated, from customers common to both arms. It is
small in a difference, where only effects that differ between strata are left of it.

Where an arm's share of the customers changed on the way, customers of different times are compared
as strata too (`experiments/analysing/phases.py`), but weighted by how much each time tells: one in
which an arm had few customers would else count as if it had many.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.stats.adjustment import Adjustment, adjust, fewest_customers, take_means
from experiments.stats.comparisons import REASONS, find_too_few
from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.joint import JointMeans, Pair
from experiments.stats.moments import Moments

# One stratum's moments of the control and of the treatment.
Stratum = tuple[Moments, Moments]
_REMOVED = "of the variance removed"


@dataclass(frozen=True, slots=True)
class Joined:
    """What strata say together.

    Attributes:
        joint: The means, adjusted and post-stratified as far as could be.
        plain: The same means as measured.
        merged: How many of the strata given were too small, and merged with others.
        adjustments: What was done within each stratum told apart.
        is_weighted: Whether the strata count by shares given, and not by their customers.
    """

    joint: JointMeans
    plain: JointMeans
    merged: int
    adjustments: Sequence[Adjustment]
    is_weighted: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the means are as measured."""
        return self.joint is self.plain

    def sign(self, result: Result, *, plain: Pair, best: Pair) -> Result:
        """Complete a result's method by what was done to the means, and what it was worth.

        Args:
            result: Computed from the joint means.
            plain: What is compared, read off the plain means.
            best: The same, read off the joint means.
        """
        if isinstance(result, Inconclusive):
            return result
        said = [result.method]
        if not self.is_plain:
            after, before = (float(pair.combine(-1.0, 1.0)[0]) for pair in (best, plain))
            removed = [] if self.is_weighted else [f"{1 - after / before:.1%} {_REMOVED}"]
            said.insert(0, ", ".join([*self._say_done(), *removed]))
        said += dict.fromkeys(each.obstacle for each in self.adjustments if each.obstacle)
        dropped = sorted({column for each in self.adjustments for column in each.dropped})
        if dropped:
            noun = "column" if len(dropped) == 1 else "columns"
            columns = ", ".join(map(str, dropped))
            said.append(
                f"covariate {noun} {columns} dropped (constant, or determined by the others)"
            )
        return replace(result, method="; ".join(said))

    def _say_done(self) -> list[str]:
        said = []
        if self.is_weighted:
            said.append(f"Compared within {len(self.adjustments)} groups of equal chances")
        elif len(self.adjustments) > 1:
            noun = "one" if self.merged == 1 else "ones"
            merged = f" ({self.merged} small {noun} merged)" if self.merged else ""
            said.append(f"Post-stratification by {len(self.adjustments)} strata{merged}")
        used = max(each.covariates for each in self.adjustments)
        if used:
            noun = "covariate" if used == 1 else "covariates"
            said.append(f"Regression adjustment by {used} {noun} with slopes of each arm (Lin)")
        return said


def join(
    strata: Sequence[Stratum], *, outcomes: int, shares: Sequence[float] | None = None
) -> Joined | Inconclusive:
    """Adjust means within each stratum by its covariates, and put the strata together.

    Strata with too few customers in an arm, for a variance or for the covariates, are merged.

    Args:
        strata: Of each, the moments of control and treatment: outcomes first, then covariates.
            One stratum is everybody.
        outcomes: How many columns are outcomes.
        shares: How much each stratum counts, in all 1, and none is merged; None lets each count by
            its customers.

    Raises:
        ValueError: There is no stratum, or their columns differ.
    """
    if not strata:
        raise ValueError("there is no stratum, not even one of everybody")
    control, treatment = _pool(strata)
    if reason := find_too_few(control.n, treatment.n):
        return Inconclusive(REASONS[reason])
    told_apart, merged = strata, 0
    if shares is None:
        told_apart, merged = merge_small(strata, outcomes=outcomes)
    adjustments = [adjust(*stratum, outcomes=outcomes) for stratum in told_apart]
    if len(adjustments) == 1:
        return Joined(adjustments[0].joint, adjustments[0].plain, merged, adjustments)
    joint = poststratify([each.joint for each in adjustments], shares=shares)
    plain = take_means(control, treatment, outcomes=outcomes)
    return Joined(joint, plain, merged, adjustments, is_weighted=shares is not None)


def poststratify(
    strata: Sequence[JointMeans], *, shares: Sequence[float] | None = None
) -> JointMeans:
    """Combine the means of strata by their shares of all customers, or by those given."""
    sizes = np.array([stratum.n.sum() for stratum in strata])
    n = sizes.sum()
    weights = sizes / n if shares is None else np.asarray(shares)
    each = np.stack([stratum.means for stratum in strata])  # (k, 2, q)
    means = np.tensordot(weights, each, axes=1)
    around = each - means
    between = np.einsum("k,kaq,kbr->aqbr", weights, around, around) / n
    within = [weight**2 * stratum.parts for weight, stratum in zip(weights, strata, strict=True)]
    customers = np.sum([stratum.n for stratum in strata], axis=0)
    thinned = [w**2 * s.inflation / s.n for w, s in zip(weights, strata, strict=True)]
    return JointMeans(
        means,
        np.concatenate([*within, between[None]]),
        np.concatenate([*(stratum.df for stratum in strata), [n - len(strata)]]),
        customers,
        customers * np.sum(thinned, axis=0),
    )


def _pool(strata: Sequence[Stratum]) -> Stratum:
    control, treatment = strata[0]
    for more_control, more_treatment in strata[1:]:
        control, treatment = control + more_control, treatment + more_treatment
    return control, treatment


def merge_small(strata: Sequence[Stratum], *, outcomes: int) -> tuple[list[Stratum], int]:
    """Merge strata that are too small with each other, and if need be with the next larger one.

    Args:
        strata: Of each, the moments of control and treatment: outcomes first, then covariates.
        outcomes: How many columns are outcomes.
    """
    needed = fewest_customers(len(strata[0][0].mean) - outcomes)
    by_size = sorted(strata, key=lambda stratum: min(arm.n for arm in stratum))
    small = [stratum for stratum in by_size if min(arm.n for arm in stratum) < needed]
    large = by_size[len(small) :]
    if not small:
        return list(strata), 0
    together = _pool(small)
    if large and min(arm.n for arm in together) < needed:
        together, large = _pool([together, large[0]]), large[1:]
    return [together, *large], len(small)
