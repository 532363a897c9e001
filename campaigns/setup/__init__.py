"""Setting a campaign up, step by step, without writing JSON: the steps and their order."""

from campaigns.setup.audience import AudienceStep
from campaigns.setup.base import Step
from campaigns.setup.idea import IdeaStep
from campaigns.setup.offers import OffersStep
from campaigns.setup.proof import ProofStep
from campaigns.setup.schedule import ScheduleStep

STEPS: dict[str, type[Step]] = {
    "idea": IdeaStep,
    "audience": AudienceStep,
    "offers": OffersStep,
    "proof": ProofStep,
    "schedule": ScheduleStep,
}

__all__ = ["STEPS", "Step"]
