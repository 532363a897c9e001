"""Who: sources, customers, events, audiences and consent."""

from audience.models.audiences import Audience, AudienceKind, Membership
from audience.models.audit import AuditEntry
from audience.models.consent import (
    Channel,
    Consent,
    ConsentChange,
    ConsentState,
    Erasure,
    Suppression,
    SuppressionReason,
)
from audience.models.customers import Customer, Identity, IdentityKind
from audience.models.events import Event, LakeRange, ReceivedMessage, RejectedEvent, RenamedEvent
from audience.models.sources import SCOPES_OF, Kind, Scope, Source

__all__ = [
    "SCOPES_OF",
    "Audience",
    "AudienceKind",
    "AuditEntry",
    "Channel",
    "Consent",
    "ConsentChange",
    "ConsentState",
    "Customer",
    "Erasure",
    "Event",
    "Identity",
    "IdentityKind",
    "Kind",
    "LakeRange",
    "Membership",
    "ReceivedMessage",
    "RejectedEvent",
    "RenamedEvent",
    "Scope",
    "Source",
    "Suppression",
    "SuppressionReason",
]
