"""The checks that say whether an experiment's numbers can be trusted: one line adds one."""

from collections.abc import Callable

from experiments.health.base import Finding, HealthContext
from experiments.health.bots import check_bots
from experiments.health.currencies import check_currencies
from experiments.health.dependence import check_dependence
from experiments.health.imbalance import check_imbalance
from experiments.health.interaction import check_interaction
from experiments.health.late import check_late_events
from experiments.health.moved import check_moved
from experiments.health.no_exposures import check_no_exposures
from experiments.health.outliers import check_outliers
from experiments.health.shifted import check_shifted
from experiments.health.silence import check_silence
from experiments.health.srm import check_sample_ratio
from experiments.health.too_early import check_too_early
from experiments.health.trend import check_trend
from experiments.health.unlike import check_unlike

CHECKS: tuple[Callable[[HealthContext], Finding | None], ...] = (
    check_sample_ratio,
    check_no_exposures,
    check_moved,
    check_imbalance,
    check_dependence,
    check_shifted,
    check_silence,
    check_late_events,
    check_bots,
    check_currencies,
    check_outliers,
    check_interaction,
    check_trend,
    check_unlike,
    check_too_early,
)
