"""What is stored of experiments: their design, who met them, what came out, who did what."""

from experiments.models.experiments import (
    LIVE,
    UNSTARTED,
    Arm,
    ExclusionGroup,
    Experiment,
    ExperimentMetric,
    ExperimentQuerySet,
    MonitoringRule,
    Outcome,
    Prerequisite,
    Role,
    Status,
)
from experiments.models.exposures import Exposure, Prediction
from experiments.models.metrics import Metric
from experiments.models.people import Change, Endpoint, Notice, Review, Subscriber
from experiments.models.proof import Analysis, PlanVersion, Replay

__all__ = [
    "LIVE",
    "UNSTARTED",
    "Analysis",
    "Arm",
    "Change",
    "Endpoint",
    "ExclusionGroup",
    "Experiment",
    "ExperimentMetric",
    "ExperimentQuerySet",
    "Exposure",
    "Metric",
    "MonitoringRule",
    "Notice",
    "Outcome",
    "PlanVersion",
    "Prediction",
    "Prerequisite",
    "Replay",
    "Review",
    "Role",
    "Status",
    "Subscriber",
]
