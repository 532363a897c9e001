"""Experiments that run, as frozen values, and customers who fall into a part of their buckets."""

from experiments.assigning.assignment import BUCKETS, bucket_of
from experiments.assigning.evaluation import RunningArm, RunningExperiment

CONTROL = RunningArm(1, "control", 5000, {"price": 10}, is_control=True)
NEW = RunningArm(2, "new", 5000, {"price": 8})
PLAIN = RunningExperiment(
    id=7,
    key="price",
    seed="price:s",
    arms=(CONTROL, NEW),
    control=CONTROL,
    audience={},
    traffic=BUCKETS,
)


def hold_out(weight: int) -> RunningExperiment:
    """Make an experiment that holds so many buckets' customers out of those that require it."""
    held_out = RunningArm(11, "held-out", weight, {}, is_control=True)
    return RunningExperiment(
        id=70,
        key="holdout",
        seed="holdout:s",
        arms=(held_out, RunningArm(12, "open", BUCKETS - weight, {})),
        control=held_out,
        audience={},
        traffic=BUCKETS,
        is_holdout=True,
    )


def customer_in(seed: str, start: int, end: int) -> str:
    """Find a customer whose bucket lies in a range."""
    return next(k for k in map(str, range(100_000)) if start <= bucket_of(seed, k) < end)
