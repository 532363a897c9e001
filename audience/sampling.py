"""Look at a sample of customers."""

from typing import Any

from audience.models import Customer

SAMPLE = 2000


def sample_attributes() -> list[dict[str, Any]]:
    """Return the attributes of the newest customers that have any."""
    rows = (
        Customer.objects.exclude(attributes={})
        .order_by("-pk")
        .values_list("attributes", flat=True)[:SAMPLE]
    )
    return list(rows)
