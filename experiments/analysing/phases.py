"""Compares arms only with customers who had the same chances to meet either.

Where weights change, or an arm is halted, the arms hold customers of different times, who order
more or less, and have had more or less time to, whatever the arms do (Simpson's paradox): with the
control at 90% and then at 50%, a shop that sells better every week makes any new arm win. So each
two arms are compared among those who came when their odds were the same, and a time in which only
one of them let customers in takes no part. What such groups say is weighted by how much each tells,

    h = n_c n_t / (n_c + n_t),

over the sum of these: it hangs on the numbers of customers alone, and an effect that is the same in
all groups is known best so. It is what a regression with a term for every phase gives.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from experiments.stats.adjustment import fewest_customers
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Stratum, merge_small

ByArm = Mapping[str, Moments]


@dataclass(frozen=True, slots=True)
class Phase:
    """Customers who came while weights stayed the same.

    Attributes:
        weights: Of the arms, by their keys. In the minute after a change both those before and
            after it may have been served.
        moments: Of every arm, by its key.
        strata: The same within each stratum, if arms are compared there.
    """

    weights: tuple[Mapping[str, int], ...]
    moments: ByArm
    strata: tuple[ByArm, ...] = ()

    @staticmethod
    def of_all(moments: ByArm, strata: Sequence[ByArm] = ()) -> "Phase":
        """Return the only phase there is."""
        return Phase(({},), moments, tuple(strata))

    def odds(self, control: str, arm: str) -> Fraction | None:
        """Return how many came into an arm for each in the control; None where that is not sure."""
        found = {
            Fraction(weights[arm], weights[control])
            if weights.get(control) and weights.get(arm)
            else None
            for weights in self.weights
        }
        return found.pop() if len(found) == 1 else None

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON values."""
        return {
            "weights": [dict(weights) for weights in self.weights],
            "arms": _write(self.moments),
            "strata": [_write(stratum) for stratum in self.strata],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Phase":
        """Read what `to_json` wrote."""
        return Phase(
            tuple(data["weights"]),
            _read(data["arms"]),
            tuple(_read(stratum) for stratum in data["strata"]),
        )


@dataclass(frozen=True, slots=True)
class Paired:
    """Two arms' customers who can be compared.

    Attributes:
        whole: Control and treatment in each group of equal odds.
        shares: How much each group counts; None where there is one.
        parts: The same within strata.
        part_shares: How much each of these counts; None is by its customers.
    """

    whole: tuple[Stratum, ...]
    shares: tuple[float, ...] | None
    parts: tuple[Stratum, ...]
    part_shares: tuple[float, ...] | None

    @property
    def mixed(self) -> Stratum:
        """The arms as if all groups had the same odds; n is as many customers as tell as much."""
        if self.shares is None:
            return self.whole[0]
        control, treatment = (_mix(arms, self.shares) for arms in zip(*self.whole, strict=True))
        return control, treatment


def pair(phases: Sequence[Phase], control: str, arm: str) -> Paired:
    """Find the customers among whom two arms can be compared.

    Groups in which an arm has too few customers for a variance are left out, unless that would
    leave nobody.

    Args:
        phases: All of them; a single one is compared as it is.
        control: The control's key.
        arm: The treatment's.
    """
    groups = _group(phases, control, arm)
    needed = fewest_customers(0)
    telling = [group for group in groups if _fewest(group[0]) >= needed]
    kept = telling or [max(groups, key=lambda group: _fewest(group[0]))]
    if len(kept) == 1:
        (whole, parts) = kept[0]
        return Paired((whole,), None, tuple(parts), None)
    told = np.array([1.0 / (1.0 / a.n + 1.0 / b.n) for (a, b), _ in kept])
    shares = (told / told.sum()).tolist()
    split: list[Stratum] = []
    split_shares: list[float] = []
    for share, (_, parts) in zip(shares, kept, strict=True):
        merged, _ = merge_small(parts, outcomes=len(parts[0][0].mean))
        n = sum(a.n + b.n for a, b in merged)
        split += merged
        split_shares += [share * (a.n + b.n) / n for a, b in merged]
    return Paired(
        tuple(whole for whole, _ in kept), tuple(shares), tuple(split), tuple(split_shares)
    )


def _group(phases: Sequence[Phase], control: str, arm: str) -> list[tuple[Stratum, list[Stratum]]]:
    """Pool the phases in which the odds were the same, and their strata one by one."""
    by_odds: dict[Fraction | None, list[Phase]] = {}
    for phase in phases:
        by_odds.setdefault(phase.odds(control, arm), []).append(phase)
    if len(phases) > 1:
        by_odds.pop(None, None)
    if not by_odds:
        columns = len(phases[0].moments[control].mean)
        nobody = Moments(0, (0.0,) * columns, ((0.0,) * columns,) * columns)
        return [((nobody, nobody), [(nobody, nobody)])]
    return [
        (
            _pool((phase.moments for phase in alike), control, arm),
            [
                _pool(same, control, arm)
                for same in zip(*(phase.strata for phase in alike), strict=True)
            ]
            or [_pool((phase.moments for phase in alike), control, arm)],
        )
        for alike in by_odds.values()
    ]


def _pool(parts: Iterable[ByArm], control: str, arm: str) -> Stratum:
    first, *others = [(part[control], part[arm]) for part in parts]
    a, b = first
    for more_a, more_b in others:
        a, b = a + more_a, b + more_b
    return a, b


def _fewest(stratum: Stratum) -> int:
    return min(arm.n for arm in stratum)


def _mix(arms: Sequence[Moments], shares: Sequence[float]) -> Moments:
    """Return moments whose mean, and its error, are those of the weighted groups."""
    n = np.array([arm.n for arm in arms])
    weights = np.array(shares)
    means = np.array([arm.mean for arm in arms])
    covariances = np.array([arm.covariance for arm in arms])
    worth = 1.0 / float((weights**2 / n).sum())
    covariance = np.tensordot(worth * weights**2 / n, covariances, axes=1)
    return Moments(
        int(worth), tuple((weights @ means).tolist()), tuple(map(tuple, covariance.tolist()))
    )


def _write(by_arm: ByArm) -> dict[str, Any]:
    return {arm: moments.to_json() for arm, moments in by_arm.items()}


def _read(data: Mapping[str, Any]) -> ByArm:
    return {arm: Moments.from_json(moments) for arm, moments in data.items()}
