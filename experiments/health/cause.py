"""Searches segments for the one in which the split between arms is broken."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from experiments.health.base import Segment
from experiments.health.chance import LEAST_EXPECTED
from experiments.health.split import Split

# Errors allowed: that any segment is called broken or different by chance, and that one rest is.
_LEVEL = 0.01


@dataclass(frozen=True, slots=True)
class Suspect:
    """One segment, and how well it alone explains that the arms are not as planned.

    Attributes:
        dimension: What the segment is of.
        value: Which segment it is.
        split: The customers in it.
        chi2: How far its own split is from the plan.
        p_value: Of that, corrected for the number of segments searched (Bonferroni).
        p_rest: That everybody else's split is as planned.
        p_differs: That it is split like everybody else, corrected too.
    """

    dimension: str
    value: str
    split: Split
    chi2: float
    p_value: float
    p_rest: float
    p_differs: float

    @property
    def is_cause(self) -> bool:
        """Whether this segment is broken, unlike the rest, and the rest is sound."""
        return max(self.p_value, self.p_differs) < _LEVEL <= self.p_rest

    def to_json(self) -> dict[str, Any]:
        """Write what a page shows as plain JSON values."""
        return {
            "dimension": self.dimension,
            "value": self.value,
            "arms": list(self.split.labels),
            "counted": [round(count) for count in self.split.counted.tolist()],
            "expected": self.split.expected.tolist(),
            "p_value": self.p_value,
            "p_rest": self.p_rest,
            "is_cause": self.is_cause,
        }


def find_suspects(whole: Split, segments: Iterable[Segment]) -> list[Suspect]:
    """Rank the segments by how well each one alone explains a broken split, best first.

    A segment whose own split is broken while the rest is sound comes before all others. Among such,
    the log-likelihood of "only this segment is broken" grows with the segment's own chi-square:
    segments that merely hold some of the broken customers are diluted, and parts of the broken
    segment are smaller, so that both have less.

    Args:
        whole: All customers.
        segments: Of any number of dimensions; dimensions may overlap.
    """
    parts = [(segment, Split.of(segment.phases)) for segment in segments]
    parts = [(segment, part) for segment, part in parts if part.least_expected >= LEAST_EXPECTED]
    suspects = []
    for segment, part in parts:
        rest = whole.without(part)
        if rest.least_expected < LEAST_EXPECTED:
            continue
        chi2, _, p_value = part.test()
        suspects.append(
            Suspect(
                segment.dimension,
                segment.value,
                part,
                chi2,
                min(len(parts) * p_value, 1.0),
                rest.test()[2],
                min(len(parts) * part.differs_from(rest), 1.0),
            )
        )
    return sorted(suspects, key=lambda suspect: (not suspect.is_cause, -suspect.chi2))
