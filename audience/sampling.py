"""Look at a sample of customers, and of what they do."""

from typing import Any

from audience.models import Customer, Event

SAMPLE = 2000


def sample_attributes() -> list[dict[str, Any]]:
    """Return the attributes of the newest customers that have any."""
    rows = (
        Customer.objects.exclude(attributes={})
        .order_by("-pk")
        .values_list("attributes", flat=True)[:SAMPLE]
    )
    return list(rows)


def sample_event_names() -> list[str]:
    """Return the names among the newest events, in alphabetical order."""
    newest = Event.objects.order_by("-occurred_at").values_list("name", flat=True)[:SAMPLE]
    return sorted(set(newest))
