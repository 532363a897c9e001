"""Look at a sample of customers, and of what they do."""

from collections.abc import Iterable, Mapping
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


def sample_events() -> list[tuple[str, dict[str, Any]]]:
    """Return the names and properties of the newest events."""
    newest = Event.objects.order_by("-occurred_at").values_list("name", "properties")
    return list(newest[:SAMPLE])


def find_paths(values: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Return the paths of all values, one object deep, and whether each is always a text.

    A postcode is a text, whatever it looks like.
    """
    found: dict[str, bool] = {}
    for each in values:
        for name, value in each.items():
            inner = (
                {f"{name}.{key}": part for key, part in value.items()}
                if isinstance(value, dict)
                else {name: value}
            )
            for path, part in inner.items():
                if part is not None:
                    found[path] = found.get(path, True) and isinstance(part, str)
    return dict(sorted(found.items()))
