"""The running campaigns, in memory, as frozen values that the deciding reads."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import psycopg
import redis.asyncio
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from campaigns.eligibility import OfferRules, Window
from recommender.features import FeatureSpec
from recommender.notices import CHANGES_KEY
from recommender.odds import Odds

logger = logging.getLogger(__name__)

# How often a change notice is looked for, and how old a snapshot may get without one.
LOOK_SECONDS = 0.5
RELOAD_SECONDS = 15.0


class Serves(StrEnum):
    """What an arm of a campaign gives its customers."""

    NOTHING = "nothing"
    BASELINE = "baseline"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class RunningArm:
    """An arm of a running campaign's experiment."""

    id: int
    key: str
    weight: int
    serves: Serves


@dataclass(frozen=True, slots=True)
class RunningOffer:
    """An offer of a running campaign."""

    rules: OfferRules
    baseline_weight: int
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunningPolicy:
    """A policy as it was last published."""

    id: int
    key: str
    odds: Odds
    version: int
    reward_window_seconds: int
    held_back_share: float


@dataclass(frozen=True, slots=True)
class RunningCampaign:
    """All that deciding needs to know of a campaign."""

    key: str
    placement: str
    window: Window
    hold_seconds: int
    experiment_id: int
    seed: str
    arms: tuple[RunningArm, ...]
    offers: tuple[RunningOffer, ...]
    policy: RunningPolicy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The placements that exist and the campaigns that run in each, in order of priority."""

    placements: frozenset[str] = frozenset()
    campaigns: Mapping[str, tuple[RunningCampaign, ...]] = field(default_factory=dict)


CAMPAIGNS = """
    SELECT campaign.key, placement.key AS placement, campaign.starts_at, campaign.ends_at,
           campaign.hold_minutes * 60 AS hold_seconds, campaign.id AS campaign_id,
           experiment.id AS experiment_id, experiment.seed, policy.id AS policy_id,
           policy.key AS policy_key, policy.features, policy.offers, policy.floor,
           policy.reward_window_seconds, policy.held_back_share,
           version.number AS version, version.odds
    FROM campaigns_campaign AS campaign
    JOIN campaigns_placement AS placement ON placement.id = campaign.placement_id
    JOIN experiments_experiment AS experiment ON experiment.id = campaign.experiment_id
    JOIN recommender_policy AS policy ON policy.id = campaign.policy_id
    LEFT JOIN LATERAL (
        SELECT number, odds FROM recommender_policyversion
        WHERE policy_id = policy.id ORDER BY number DESC LIMIT 1) AS version ON true
    WHERE campaign.status = 'running'
    ORDER BY campaign.priority, campaign.id
"""

ARMS = """
    SELECT experiment_id, id, key, weight, payload FROM experiments_arm
    WHERE experiment_id = ANY(%s) ORDER BY position, id
"""

OFFERS = """
    SELECT choice.campaign_id, choice.baseline_weight, offer.key, offer.name, offer.headline,
           offer.text, offer.link, offer.is_active, offer.starts_at, offer.ends_at
    FROM campaigns_campaignoffer AS choice
    JOIN campaigns_offer AS offer ON offer.id = choice.offer_id
    WHERE choice.campaign_id = ANY(%s) ORDER BY choice.position, choice.id
"""


async def load_snapshot(connection: AsyncConnection[Any]) -> Snapshot:
    """Read the running campaigns in four queries, at one moment."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor = connection.cursor(row_factory=dict_row)
        placements = await (await cursor.execute("SELECT key FROM campaigns_placement")).fetchall()
        rows = await (await cursor.execute(CAMPAIGNS)).fetchall()
        experiments = [row["experiment_id"] for row in rows]
        arms = await (await cursor.execute(ARMS, [experiments])).fetchall()
        ids = [row["campaign_id"] for row in rows]
        offers = await (await cursor.execute(OFFERS, [ids])).fetchall()
    campaigns: dict[str, list[RunningCampaign]] = {}
    for row in rows:
        try:
            campaign = _to_campaign(row, arms, offers)
        except (KeyError, ValueError):
            # One damaged campaign must not keep the others from deciding.
            logger.exception("The campaign %s cannot be run", row["key"])
        else:
            campaigns.setdefault(row["placement"], []).append(campaign)
    return Snapshot(
        placements=frozenset(row["key"] for row in placements),
        campaigns={placement: tuple(found) for placement, found in campaigns.items()},
    )


def _to_campaign(
    row: DictRow, arms: Sequence[DictRow], offers: Sequence[DictRow]
) -> RunningCampaign:
    return RunningCampaign(
        key=row["key"],
        placement=row["placement"],
        window=Window(row["starts_at"], row["ends_at"]),
        hold_seconds=row["hold_seconds"],
        experiment_id=row["experiment_id"],
        seed=row["seed"],
        arms=tuple(
            RunningArm(arm["id"], arm["key"], arm["weight"], Serves(arm["payload"]["serves"]))
            for arm in arms
            if arm["experiment_id"] == row["experiment_id"]
        ),
        offers=tuple(
            _to_offer(offer) for offer in offers if offer["campaign_id"] == row["campaign_id"]
        ),
        policy=_to_policy(row),
    )


def _to_offer(row: DictRow) -> RunningOffer:
    return RunningOffer(
        rules=OfferRules(row["key"], row["is_active"], Window(row["starts_at"], row["ends_at"])),
        baseline_weight=row["baseline_weight"],
        content={name: row[name] for name in ("key", "name", "headline", "text", "link")},
    )


def _to_policy(row: DictRow) -> RunningPolicy:
    if row["odds"] is None:
        features = FeatureSpec.from_json(row["features"])
        odds = Odds.prior(offers=tuple(row["offers"]), features=features, floor=row["floor"])
    else:
        odds = Odds.from_bytes(bytes(row["odds"]))
    return RunningPolicy(
        id=row["policy_id"],
        key=row["policy_key"],
        odds=odds,
        version=row["version"] or 0,
        reward_window_seconds=row["reward_window_seconds"],
        held_back_share=row["held_back_share"],
    )


class CurrentSnapshot:
    """Hands out the snapshot and re-reads it soon after something changed.

    A change notice is a counter in Redis. Without Redis the snapshot is still re-read every few
    seconds, and without PostgreSQL the last one goes on serving.
    """

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection], notices: "redis.asyncio.Redis"
    ) -> None:
        """Read through `pool`; look for notices in `notices`."""
        self._pool = pool
        self._notices = notices
        self._snapshot: Snapshot | None = None
        self._seen: object = None
        self._looked_at = 0.0
        self._loaded_at = 0.0

    async def get(self) -> Snapshot:
        """Return the snapshot, at most about a second behind."""
        now = time.monotonic()
        if self._snapshot is None:
            self._snapshot = await self._load()
            self._loaded_at = self._looked_at = now
        elif now - self._looked_at > LOOK_SECONDS:
            # Set before waiting, so that one request looks and the others go on.
            self._looked_at = now
            await self._refresh(now)
        return self._snapshot

    async def _refresh(self, now: float) -> None:
        changes = await self._read_notices()
        if changes == self._seen and now - self._loaded_at < RELOAD_SECONDS:
            return
        try:
            self._snapshot = await self._load()
        except psycopg.Error:
            logger.exception("The campaigns cannot be re-read; the last ones go on")
            return
        self._seen, self._loaded_at = changes, now

    async def _read_notices(self) -> object:
        try:
            return await self._notices.get(CHANGES_KEY)
        except redis.RedisError:
            logger.warning("Redis does not answer; campaigns are re-read by time alone")
            return self._seen

    async def _load(self) -> Snapshot:
        async with self._pool.connection() as connection:
            return await load_snapshot(connection)
