"""The running campaigns, in memory, as frozen values that the deciding reads."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from campaigns.eligibility import OfferRules, Window
from recommender.features import FeatureSpec
from recommender.odds import Odds

logger = logging.getLogger(__name__)


class Serves(StrEnum):
    """What an arm of a campaign gives its customers."""

    NOTHING = "nothing"
    BASELINE = "baseline"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class RunningArm:
    """An arm of a running campaign's experiment; a halted one serves what the control serves."""

    id: int
    key: str
    weight: int
    serves: Serves
    is_halted: bool = False


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
    SELECT experiment_id, id, key, weight, payload, is_control,
           halted_at IS NOT NULL AS is_halted
    FROM experiments_arm WHERE experiment_id = ANY(%s) ORDER BY position, id
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
        arms=_to_arms([arm for arm in arms if arm["experiment_id"] == row["experiment_id"]]),
        offers=tuple(
            _to_offer(offer) for offer in offers if offer["campaign_id"] == row["campaign_id"]
        ),
        policy=_to_policy(row),
    )


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
