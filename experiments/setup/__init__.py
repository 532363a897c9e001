"""Setting an experiment up, step by step, without writing JSON: the steps and their order."""

from experiments.setup.arms import ArmsStep
from experiments.setup.audience import AudienceStep
from experiments.setup.base import Step
from experiments.setup.idea import IdeaStep
from experiments.setup.metrics import MetricsStep
from experiments.setup.plan import PlanStep

STEPS: dict[str, type[Step]] = {
    "idea": IdeaStep,
    "arms": ArmsStep,
    "audience": AudienceStep,
    "metrics": MetricsStep,
    "plan": PlanStep,
}

__all__ = ["STEPS", "Step"]
