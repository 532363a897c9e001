"""Hears what mail services tell django-anymail's webhooks."""

from typing import Any

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason, tracking
from django.utils import timezone

from campaigns.sending.bouncing import Told, record_told

FINAL = {RejectReason.INVALID, RejectReason.BOUNCED, None}


def connect() -> None:
    """Begin to hear."""
    tracking.connect(hear, dispatch_uid="campaigns.bounces")


def hear(sender: Any, event: AnymailTrackingEvent, esp_name: str, **_: Any) -> None:
    """Write down bounces and complaints; what is opened and followed we see ourselves."""
    is_bounce = event.event_type in {EventType.BOUNCED, EventType.REJECTED, EventType.FAILED}
    if not is_bounce and event.event_type != EventType.COMPLAINED:
        return
    told = Told(
        message_id=str(event.message_id or ""),
        address=str(event.recipient or ""),
        is_complaint=event.event_type == EventType.COMPLAINED,
        is_final=event.event_type == EventType.BOUNCED and event.reject_reason in FINAL,
        words=f"{esp_name}: {event.description or event.reject_reason or event.event_type}"[:200],
    )
    record_told(told, now=timezone.now())
