"""Kevin Hillstrom's e-mail challenge (2008): 64,000 customers, two e-mails and none.

https://blog.minethatdata.com/2008/03/minethatdata-e-mail-analytics-and-data.html
The file has no times: what happened "within two weeks" is dated one day after the e-mail.
"""

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from audience.importing.copying import CustomerRow, EventRow, import_customers, import_events
from audience.models import Source
from campaigns.history import PastDecision, import_decisions
from campaigns.lifecycle.drafting import CampaignPlan, add_offers, draft_campaign
from campaigns.lifecycle.status import finish_campaign, start_campaign
from campaigns.models import Campaign, Offer, Placement
from experiments.lifecycle.drafting import ArmPlan
from experiments.models import Metric
from recommender.weighing.profiling import fit_features

KEY = "hillstrom"
SENT_AT = datetime(2008, 3, 1, 12, tzinfo=UTC)
WINDOW_DAYS = 14
CUSTOMERS = 64_000
VISIT, ORDER = "Site Visited", "Order Completed"
ATTRIBUTES = ["recency", "history", "mens", "womens", "newbie", "zip_code", "channel"]
NUMBERS = {"recency", "history", "mens", "womens", "newbie"}
# The file's names of the groups, and ours of arm and offer.
GROUPS = {
    "No E-Mail": ("no-email", None),
    "Mens E-Mail": ("mens-email", "mens-email"),
    "Womens E-Mail": ("womens-email", "womens-email"),
}
# A customer fell into each group with the same probability.
ELIGIBLE = ("mens-email", "womens-email", "")
WEIGHTS = (1 / 3, 1 / 3, 1 / 3)


@dataclass(frozen=True, slots=True)
class Row:
    """One customer of the file."""

    key: str
    group: str
    attributes: dict[str, Any]
    visited: bool
    converted: bool
    spend: float


def read_rows(path: Path) -> list[Row]:
    """Read the file.

    Raises:
        ValueError: It is damaged, a group is none of the three, or a column is missing or no
            number.
        OSError: It cannot be read or is not packed with gzip.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
            rows = [_to_row(index, row) for index, row in enumerate(csv.DictReader(text), start=1)]
    except (EOFError, zlib.error) as error:
        raise ValueError(f"The file is damaged: {error}.") from error
    if not rows:
        raise ValueError("The file is empty.")
    return rows


def _to_row(index: int, row: dict[str, str]) -> Row:
    try:
        group = row["segment"]
        attributes = {a: _to_number(row[a]) if a in NUMBERS else row[a] for a in ATTRIBUTES}
        visited, converted, spend = row["visit"], row["conversion"], _to_number(row["spend"])
    except KeyError as error:
        raise ValueError(f"The file has no column {error}.") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"Line {index + 1}: {error}.") from error
    if group not in GROUPS:
        raise ValueError(f"Line {index + 1}: the group {group!r} is not known.")
    return Row(
        key=f"hillstrom-{index:05d}",
        group=group,
        attributes=attributes,
        visited=visited == "1",
        converted=converted == "1",
        spend=spend,
    )


def _to_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is no finite number")
    return number


def import_hillstrom(
    rows: Sequence[Row], *, progress: Callable[[int], object] = lambda count: None
) -> Campaign:
    """Bring in the campaign with customers, decisions and events, all or nothing."""
    with transaction.atomic():
        import_customers(CustomerRow(row.key, row.attributes) for row in rows)
        source, _ = Source.objects.get_or_create(name="Hillstrom's file")
        import_events(_events(rows), source=source)
        campaign = _draft(rows)
        start_campaign(campaign, by=None, now=SENT_AT, reason="imported")
        import_decisions(campaign, map(_to_decision, rows), progress=progress)
        ended_at = SENT_AT + timedelta(days=WINDOW_DAYS)
        finish_campaign(campaign, by=None, now=ended_at, reason="imported")
    return campaign


def _events(rows: Sequence[Row]) -> Iterator[EventRow]:
    """Yield what customers did, evenly spread: the file says only that it was within two weeks."""
    for number, row in enumerate(rows):
        acted_at = SENT_AT + timedelta(hours=1 + number % (24 * WINDOW_DAYS - 1))
        if row.visited:
            yield EventRow(row.key, VISIT, acted_at, f"{row.key}-visit")
        if row.converted:
            yield EventRow(row.key, ORDER, acted_at, f"{row.key}-order", value=row.spend)


def _to_decision(row: Row) -> PastDecision:
    arm, offer = GROUPS[row.group]
    return PastDecision(row.key, arm, offer, SENT_AT, ELIGIBLE, WEIGHTS, row.attributes)


def _draft(rows: Sequence[Row]) -> Campaign:
    """Draft the campaign: three equal arms, and a policy that never sees half the customers."""
    visit, conversion, spend = (
        Metric.objects.get_or_create(key=key, defaults=defaults)[0]
        for key, defaults in _metrics().items()
    )
    placement, _ = Placement.objects.get_or_create(key="email", defaults={"name": "E-mail"})
    plan = CampaignPlan(
        key=KEY,
        name="Hillstrom's e-mails",
        placement=placement,
        goal=visit,
        others=[conversion, spend],
        planned_customers=CUSTOMERS,
        minimum_days=0,
        features=fit_features([row.attributes for row in rows], ATTRIBUTES),
        reward_window_seconds=WINDOW_DAYS * 86_400,
        held_back_share=0.5,
    )
    arms = [
        ArmPlan("no-email", "No e-mail", 3334, is_control=True, payload={"serves": "nothing"}),
        ArmPlan("mens-email", "Men's e-mail", 3333, payload={"offer": "mens-email"}),
        ArmPlan("womens-email", "Women's e-mail", 3333, payload={"offer": "womens-email"}),
    ]
    campaign = draft_campaign(plan, arms=arms)
    offers = [
        Offer.objects.get_or_create(key=key, defaults={"name": name, "headline": headline})[0]
        for key, name, headline in (
            ("mens-email", "Men's e-mail", "New in menswear"),
            ("womens-email", "Women's e-mail", "New in womenswear"),
        )
    ]
    add_offers(campaign, offers)
    return campaign


def _metrics() -> dict[str, dict[str, Any]]:
    window = {"window_days": WINDOW_DAYS}
    return {
        "email-visits": {
            "name": "Visits",
            "kind": "conversion",
            "params": {"event": VISIT, **window},
        },
        "email-conversion": {
            "name": "Conversion",
            "kind": "conversion",
            "params": {"event": ORDER, **window},
        },
        "email-spend": {"name": "Spend", "kind": "mean", "params": {"event": ORDER, **window}},
    }
