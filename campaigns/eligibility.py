"""Which offers may be shown now, and why not the others."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, open at either end where it is None."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Tell whether a moment lies in it; the start is in, the end is not."""
        begun = self.starts_at is None or self.starts_at <= now
        return begun and (self.ends_at is None or now < self.ends_at)


@dataclass(frozen=True, slots=True)
class OfferRules:
    """What decides whether an offer may be shown."""

    key: str
    is_active: bool
    window: Window


def reason_against(offer: OfferRules, *, now: datetime) -> str | None:
    """Return why an offer may not be shown, or None when it may."""
    if not offer.is_active:
        return f"{offer.key} is switched off"
    if offer.window.starts_at is not None and now < offer.window.starts_at:
        return f"{offer.key} has not begun"
    if not offer.window.holds(now):
        return f"{offer.key} has ended"
    return None
