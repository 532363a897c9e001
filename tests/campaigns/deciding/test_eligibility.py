"""Which offers may be shown."""

from datetime import UTC, datetime, timedelta

import pytest

from campaigns.deciding.eligibility import OfferRules, Window, reason_against

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("window", "holds"),
    [
        (Window(), True),
        (Window(NOW, None), True),
        (Window(NOW + HOUR, None), False),
        (Window(None, NOW), False),
        (Window(None, NOW + HOUR), True),
        (Window(NOW - HOUR, NOW + HOUR), True),
    ],
)
def test_a_window_holds_its_start_and_not_its_end(window: Window, holds: bool) -> None:
    assert window.holds(NOW) is holds


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (OfferRules("gift", True, Window()), None),
        (OfferRules("gift", False, Window()), "gift is switched off"),
        (OfferRules("gift", True, Window(NOW + HOUR, None)), "gift has not begun"),
        (OfferRules("gift", True, Window(None, NOW)), "gift has ended"),
    ],
)
def test_an_offer_that_may_not_be_shown_says_why(rules: OfferRules, reason: str | None) -> None:
    assert reason_against(rules, now=NOW) == reason
