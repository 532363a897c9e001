"""Explains an interval: how it comes about, step by step, from what was measured to the verdict."""

import math
from dataclasses import dataclass
from typing import Any

from experiments.looks import Look, widen
from experiments.stats.estimate import Estimate, Interval, Result


@dataclass(frozen=True, slots=True)
class Stage:
    """One step: what was done, and the effect with its interval after it.

    Attributes:
        name: `measured`, `capped`, `adjusted`, `looks` or `together`.
        point: The effect.
        low: The lower end of its interval.
        high: The upper end.
    """

    name: str
    point: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Explained:
    """The steps, and the scale they are on.

    Attributes:
        is_lift: Whether effects are lifts; else differences.
        stages: In their order.
        needed: What the effect would have to reach to be called, downwards and upwards; None where
            nothing could be called yet.
    """

    is_lift: bool
    stages: tuple[Stage, ...]
    needed: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON values."""
        return {
            "is_lift": self.is_lift,
            "stages": [
                {"name": s.name, "point": s.point, "low": s.low, "high": s.high}
                for s in self.stages
            ],
            "needed": self.needed and list(self.needed),
        }


def explain(
    result: Result,
    *,
    raw: Result,
    uncapped: Result | None,
    alone: Look | None,
    among: Look | None,
    higher_is_better: bool,
) -> Explained | None:
    """Explain the interval of one arm on one metric; None without an estimate.

    Args:
        result: What counts.
        raw: The same without adjustment.
        uncapped: The same as measured, where the metric has a cap.
        alone: The last look, as if this were the only comparison.
        among: The last look with all comparisons allowed for.
        higher_is_better: The metric's good direction.
    """
    if not isinstance(result, Estimate):
        return None
    known = [item for item in (uncapped, raw, result) if isinstance(item, Estimate)]
    is_lift = all(item.relative is not None for item in known)
    point, interval = _read(result, is_lift=is_lift)

    def at(look: Look, around: Interval) -> Interval:
        return widen(
            around,
            look,
            confidence=result.confidence,
            is_lift=is_lift,
            higher_is_better=higher_is_better,
        )

    names = ["measured", "capped"] if isinstance(uncapped, Estimate) else ["measured"]
    if raw != result:
        names.append("adjusted")
    stages = [
        _stage(name, *_read(item, is_lift=is_lift))
        for name, item in zip(names, known, strict=False)
    ]
    if alone is not None and not alone.is_single:
        stages.append(_stage("looks", point, at(alone, interval)))
    if among is not None and among != alone:
        stages.append(_stage("together", point, at(among, interval)))
    needed = None
    if among is not None:
        # Around zero, it reaches as far as the boundaries do, each to the other side.
        wide = at(among, _around_zero(interval, is_lift=is_lift))
        needed = _mirror(wide, is_lift=is_lift)
    return Explained(is_lift, tuple(stages), needed)


def _read(estimate: Estimate, *, is_lift: bool) -> tuple[float, Interval]:
    if is_lift and estimate.relative is not None and estimate.relative_interval is not None:
        return estimate.relative, estimate.relative_interval
    return estimate.difference, estimate.difference_interval


def _stage(name: str, point: float, interval: Interval) -> Stage:
    return Stage(name, point, interval.low, interval.high)


def _around_zero(interval: Interval, *, is_lift: bool) -> Interval:
    """Move an interval around no effect, on the scale on which it is even."""
    if is_lift and interval.low > -1.0:
        half = (math.log1p(interval.high) - math.log1p(interval.low)) / 2
        return Interval(math.expm1(-half), math.expm1(half))
    half = (interval.high - interval.low) / 2
    return Interval(-half, half)


def _mirror(interval: Interval, *, is_lift: bool) -> tuple[float, float]:
    if not is_lift:
        return -interval.high, -interval.low
    low = max(interval.low, -1.0 + 1e-12)
    return 1.0 / (1.0 + interval.high) - 1.0, 1.0 / (1.0 + low) - 1.0
