"""The metric types that an experiment can use: one line adds one."""

from typing import Any

from experiments.metrics.base import MetricType
from experiments.metrics.conversion import Conversion
from experiments.metrics.funnel import Funnel
from experiments.metrics.mean import Mean
from experiments.metrics.quantile import Quantile
from experiments.metrics.ratio import Ratio
from experiments.metrics.retention import Retention

METRICS: dict[str, MetricType[Any]] = {
    "conversion": Conversion(),
    "mean": Mean(),
    "ratio": Ratio(),
    "quantile": Quantile(),
    "retention": Retention(),
    "funnel": Funnel(),
}


def metric_choices() -> list[tuple[str, str]]:
    """List name and label of every metric type, as a model field's callable choices."""
    return [(name, metric.label) for name, metric in METRICS.items()]
