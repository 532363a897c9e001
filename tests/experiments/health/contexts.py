"""Makes what health checks look at: small contexts, and a large sound one."""

import numpy as np

from experiments.health.base import (
    ArmCount,
    Arrivals,
    Busy,
    Covariate,
    Currencies,
    HealthContext,
    Largest,
    Overlap,
    Phase,
    Segment,
    Trend,
)
from experiments.stats.moments import Moments


def make_phase(*arms: tuple[int, int]) -> Phase:
    """Make a phase from weight and customers of arms called A, B, C..."""
    return tuple(ArmCount("ABCDEF"[i], weight, count) for i, (weight, count) in enumerate(arms))


def make_context(*arms: tuple[int, int], moved: int = 0) -> HealthContext:
    """Make a context from the same, A being the control."""
    return HealthContext(make_phase(*arms), moved, control="A")


def make_moments(n: int, mean: float, variance: float) -> Moments:
    """Make moments of one column."""
    return Moments(n, (mean,), ((variance,),))


def make_sound_context() -> HealthContext:
    """Make a context of three arms with everything a check can ask for and nothing to find.

    Customers came in two phases, at first fewer of them. All numbers are drawn as chance
    would, from a fixed seed.
    """
    rng = np.random.default_rng(2026)
    split = rng.multinomial(60_000, [0.5, 0.25, 0.25]).tolist()
    phone = rng.binomial(split, 0.6).tolist()
    spend = {
        arm: Moments.of(rng.lognormal(3, 0.8, (n, 1)) * (rng.random((n, 1)) < 0.1))
        for arm, n in zip(
            "ABC", [n + m for n, m in zip((10_000, 5000, 5000), split, strict=True)], strict=True
        )
    }
    before = {arm: Moments.of(rng.gamma(2.0, 5.0, (20_000, 1))) for arm in "ABC"}
    changes = {arm: Moments.of(rng.normal(-0.1, 3.0, (10_000, 1))) for arm in "ABC"}

    def phases(ramp: int, counts: list[int]) -> tuple[Phase, ...]:
        return (
            make_phase((1000, ramp // 2), (500, ramp // 4), (500, ramp // 4)),
            make_phase((5000, counts[0]), (2500, counts[1]), (2500, counts[2])),
        )

    return HealthContext(
        arms=make_phase(
            (5000, 10_000 + split[0]), (2500, 5000 + split[1]), (2500, 5000 + split[2])
        ),
        moved=12,
        control="A",
        phases=phases(20_000, split),
        fraction=0.8,
        earlier=(0.2, 0.4, 0.6),
        segments=(
            Segment("device", "phone", phases(12_000, phone)),
            Segment(
                "device",
                "desktop",
                phases(8000, [n - m for n, m in zip(split, phone, strict=True)]),
            ),
        ),
        strata="device",
        covariates=(Covariate("spend before", before),),
        largest=tuple(Largest("spend", arm, 250.0, spend[arm]) for arm in "ABC"),
        busy=tuple(Busy(arm, 2, 2500, 900_000) for arm in "ABC"),
        trends=tuple(Trend(arm, changes["A"], changes[arm]) for arm in "BC"),
        overlaps=(
            Overlap(
                "Free delivery",
                {
                    (our, their): Moments.of(rng.binomial(1, 0.1, (5000, 1)).astype(float))
                    for our in "ABC"
                    for their in ("on", "off")
                },
            ),
        ),
        arrivals=(Arrivals("spend", 8000, 20, 27.99, 0.01, 79_980, 20),),
        currencies=(Currencies("spend", True, "EUR", {"EUR": 7900, "": 100}, {}),),
        days=28.0,
        minimum_days=14,
    )
