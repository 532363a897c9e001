"""The checks that say whether an experiment's numbers can be trusted: one line adds one."""

from collections.abc import Callable

from experiments.health.base import Finding, HealthContext
from experiments.health.moved import check_moved
from experiments.health.no_exposures import check_no_exposures
from experiments.health.srm import check_sample_ratio

CHECKS: tuple[Callable[[HealthContext], Finding | None], ...] = (
    check_sample_ratio,
    check_no_exposures,
    check_moved,
)
