"""Puts running campaigns together from their rows, and keeps those whose rows stay as they are."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import DictRow

from campaigns.deciding.eligibility import Budget, Caps, OfferRules, Window
from campaigns.deciding.limits import Limit, Scope
from campaigns.deciding.snapshot import (
    RunningArm,
    RunningCampaign,
    RunningOffer,
    RunningPolicy,
    RunningSlate,
    Serves,
)
from campaigns.languages import lay_over
from recommender.weighing.features import FeatureSpec
from recommender.weighing.leaves import Leaves
from recommender.weighing.odds import Odds

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rows:
    """What belongs to one campaign, as it was read.

    Attributes:
        campaign: The campaign with its policy.
        arms: In the order of their positions.
        offers: In the order of the policy's.
        fallbacks: One at most.
        odds: What the policy last published; None where nothing is, or it cannot be read.
        leaves: What clients draw by; None likewise.
    """

    campaign: DictRow
    arms: Sequence[DictRow] = ()
    offers: Sequence[DictRow] = ()
    fallbacks: Sequence[DictRow] = ()
    odds: Odds | None = None
    leaves: Leaves | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """What campaigns share.

    Attributes:
        limits: By what they limit.
        contents: What offers say in a placement, by language; what is left empty the offer itself
            says.
    """

    limits: Mapping[tuple[Scope, str], tuple[Limit, ...]] = field(default_factory=dict)
    contents: Mapping[tuple[int, str], Mapping[str, Mapping[str, Any]]] = field(
        default_factory=dict
    )


class Assembler:
    """Makes a running campaign of rows, and anew only where they are others than the last time.

    To make all of a large site's takes long enough to be felt by those who ask meanwhile; and what
    is the same object needs no look to be found unchanged.
    """

    def __init__(self) -> None:
        """Begin with no campaign."""
        self._shared = Shared()
        self._made: dict[int, tuple[Rows, RunningCampaign]] = {}

    async def assemble(
        self, campaigns: Sequence[Rows], shared: Shared
    ) -> Mapping[str, tuple[RunningCampaign, ...]]:
        """Return the campaigns of each placement, in their order; other tasks go on meanwhile."""
        if shared != self._shared:
            self._shared, self._made = shared, {}
        made: dict[int, tuple[Rows, RunningCampaign]] = {}
        for rows in campaigns:
            id_ = rows.campaign["campaign_id"]
            before = self._made.get(id_)
            if before is not None and before[0] == rows:
                made[id_] = before
                continue
            await asyncio.sleep(0)
            try:
                made[id_] = rows, _to_campaign(rows, shared)
            except (KeyError, ValueError):
                # One damaged campaign must not keep the others from deciding.
                logger.exception("The campaign %s cannot be run", rows.campaign["key"])
        self._made = made
        found: dict[str, tuple[RunningCampaign, ...]] = {}
        for _, campaign in made.values():
            found[campaign.placement] = (*found.get(campaign.placement, ()), campaign)
        return found


def _to_campaign(rows: Rows, shared: Shared) -> RunningCampaign:
    row = rows.campaign

    def own(found: Sequence[DictRow]) -> Iterator[RunningOffer]:
        return (_to_offer(each, shared, row["placement"]) for each in found)

    return RunningCampaign(
        key=row["key"],
        placement=row["placement"],
        window=Window(row["starts_at"], row["ends_at"]),
        hold_seconds=row["hold_seconds"],
        experiment_id=row["experiment_id"],
        seed=row["seed"],
        arms=_to_arms(rows.arms),
        offers=tuple(own(rows.offers)),
        policy=_to_policy(rows),
        fallback=next(own(rows.fallbacks), None),
        budget=_to_budget(row),
        limits=(
            *shared.limits.get((Scope.CAMPAIGN, row["key"]), ()),
            *shared.limits.get((Scope.PLACEMENT, row["placement"]), ()),
        ),
        audience=row["audience_id"],
    )


def _to_budget(row: DictRow) -> Budget:
    # What is spent where it earns most is spent evenly until anybody knows where that is.
    pacing, is_unpriced = row["budget_pacing"], row["version"] is None
    is_even = pacing == "even" or (pacing == "dual" and is_unpriced)
    is_even = is_even and row["began_at"] is not None
    spread = Window(row["began_at"], row["ends_at"]) if is_even else None
    return Budget(row["key"], row["budget_cents"], spread)


def _to_arms(rows: Sequence[DictRow]) -> tuple[RunningArm, ...]:
    serves = [Serves(row["payload"]["serves"]) for row in rows]
    of_control = next(
        (served for row, served in zip(rows, serves, strict=True) if row["is_control"]),
        Serves.NOTHING,
    )
    return tuple(
        RunningArm(
            id=row["id"],
            key=row["key"],
            weight=row["weight"],
            serves=of_control if row["is_halted"] else served,
            is_halted=row["is_halted"],
        )
        for row, served in zip(rows, serves, strict=True)
    )


def _to_offer(row: DictRow, shared: Shared, placement: str) -> RunningOffer:
    caps = Caps(
        total=row["cap_total"],
        per_customer=row["cap_per_customer"],
        days=row["cap_days"],
        is_shown_uncounted=row["uncounted"] == "show",
    )
    window = Window(row["starts_at"], row["ends_at"])
    own = {name: row[name] for name in ("key", "name", "headline", "text", "link")}
    if row["ranking"] is not None:
        own["ranking"] = row["ranking"]
    content, contents = (
        (None, {})
        if row["is_nothing"]
        else lay_over(own, shared.contents.get((row["id"], placement), {}))
    )
    return RunningOffer(
        rules=OfferRules(
            row["key"],
            row["is_active"],
            window,
            caps,
            row["cost_cents"],
            row["priority"],
            shared.limits.get((Scope.OFFER, row["key"]), ()),
            row["audience_id"],
        ),
        baseline_weight=row["baseline_weight"],
        content=content,
        contents=contents,
    )


def _to_policy(rows: Rows) -> RunningPolicy:
    row = rows.campaign
    lifetime = row["expires_after_hours"]

    def expiry(published_at: datetime | None) -> datetime | None:
        # Somebody chose a pinned version, however old it is.
        if lifetime is None or published_at is None or row["pinned_version"] is not None:
            return None
        return published_at + timedelta(hours=lifetime)

    if row["version"] is None:
        features = FeatureSpec.from_json(row["features"])
        # Of products there are no odds: the slate as a whole stands in the place of the offers.
        offers = tuple(row["offers"]) if row["ranking"] is None else (row["ranking"],)
        odds = Odds.prior(offers=offers, features=features, floor=row["floor"])
    elif rows.odds is None:
        raise ValueError(f"version {row['version']} of its policy cannot be read")
    else:
        odds = rows.odds
    return RunningPolicy(
        id=row["policy_id"],
        key=row["policy_key"],
        odds=odds,
        version=row["version"] or 0,
        reward_window_seconds=row["reward_window_seconds"],
        held_back_share=row["held_back_share"],
        expires_at=expiry(row["published_at"]),
        # None, where they cannot be read: then clients get what the control gets.
        leaves=rows.leaves,
        leaves_expire_at=expiry(row["leaves_published_at"]),
        judging_floor=row["floor"],
        slate=None
        if row["ranking"] is None
        else RunningSlate(row["ranking"], row["places"], row["temperature"]),
        reward_event=row["reward_event"],
    )
