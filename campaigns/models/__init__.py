"""What, where, to whom: offers, campaigns, limits and messages."""

from campaigns.models.assignments import Assigned, Assignment, AssignmentPlan
from campaigns.models.campaigns import (
    LIVE,
    UNSTARTED,
    Campaign,
    CampaignOffer,
    CampaignReview,
    Enrolment,
    Pacing,
    Status,
)
from campaigns.models.limits import Cap, CapWindow, Counted, Counter
from campaigns.models.messages import Delivery, DeliveryState, Message, Step
from campaigns.models.offers import ONSITE, Offer, OfferContent, Placement, Uncounted
from campaigns.models.results import CampaignResult

__all__ = [
    "LIVE",
    "ONSITE",
    "UNSTARTED",
    "Assigned",
    "Assignment",
    "AssignmentPlan",
    "Campaign",
    "CampaignOffer",
    "CampaignResult",
    "CampaignReview",
    "Cap",
    "CapWindow",
    "Counted",
    "Counter",
    "Delivery",
    "DeliveryState",
    "Enrolment",
    "Message",
    "Offer",
    "OfferContent",
    "Pacing",
    "Placement",
    "Status",
    "Step",
    "Uncounted",
]
