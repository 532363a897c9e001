"""Reads the running campaigns into memory, in a few queries at one moment."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from audience.audiences.saving import finder
from audience.rules.grammar import In, NoRule
from audience.rules.nesting import inline
from audience.rules.sql import Compiled, holds_for
from campaigns.deciding.assembling import Assembler, Rows, Shared
from campaigns.deciding.eligibility import UTC
from campaigns.deciding.holdout import RunningHoldout
from campaigns.deciding.limits import Limit, Scope
from campaigns.deciding.recall import MOMENT
from campaigns.deciding.snapshot import Snapshot
from experiments.assigning.assignment import ranges
from recommender.weighing.leaves import Leaves
from recommender.weighing.odds import Odds
from recommender.weighing.published import Version, read_leaves, read_odds

logger = logging.getLogger(__name__)

T = TypeVar("T")

CAMPAIGNS = """
    SELECT campaign.key, placement.key AS placement, campaign.starts_at, campaign.ends_at,
           campaign.hold_minutes * 60 AS hold_seconds, campaign.id AS campaign_id,
           experiment.id AS experiment_id, experiment.seed, policy.id AS policy_id,
           policy.key AS policy_key, policy.features, policy.offers, policy.floor,
           policy.reward_window_seconds, policy.held_back_share, policy.expires_after_hours,
           policy.places, policy.temperature, policy.reward_event, ranking.key AS ranking,
           version.number AS version, version.published_at, policy.pinned_version,
           leaf.version AS leaf_version, leaf.published_at AS leaves_published_at,
           campaign.budget_cents, campaign.budget_pacing, campaign.fallback_id,
           campaign.audience_id, GREATEST(campaign.starts_at, experiment.started_at) AS began_at
    FROM campaigns_campaign AS campaign
    JOIN campaigns_placement AS placement ON placement.id = campaign.placement_id
    JOIN experiments_experiment AS experiment ON experiment.id = campaign.experiment_id
    JOIN recommender_policy AS policy ON policy.id = campaign.policy_id
    LEFT JOIN recommender_ranking AS ranking ON ranking.id = policy.ranking_id
    LEFT JOIN LATERAL (
        SELECT number, published_at FROM recommender_policyversion
        WHERE policy_id = policy.id AND number <= COALESCE(policy.pinned_version, number)
        ORDER BY number DESC LIMIT 1) AS version ON true
    LEFT JOIN LATERAL (
        SELECT version, published_at FROM recommender_policyleaves
        WHERE policy_id = policy.id AND version <= COALESCE(policy.pinned_version, version)
        ORDER BY version DESC LIMIT 1) AS leaf ON true
    WHERE campaign.status = 'running'
    ORDER BY campaign.priority, campaign.id
"""

ARMS = """
    SELECT experiment_id, id, key, weight, payload, is_control,
           halted_at IS NOT NULL AS is_halted
    FROM experiments_arm WHERE experiment_id = ANY(%s) ORDER BY position, id
"""

OFFERS = """
    SELECT choice.campaign_id, choice.baseline_weight, offer.*, ranking.key AS ranking
    FROM campaigns_campaignoffer AS choice
    JOIN campaigns_offer AS offer ON offer.id = choice.offer_id
    LEFT JOIN recommender_ranking AS ranking ON ranking.id = offer.ranking_id
    WHERE choice.campaign_id = ANY(%s) ORDER BY choice.position, choice.id
"""

FALLBACKS = """
    SELECT campaign.id AS campaign_id, 0 AS baseline_weight, offer.*, ranking.key AS ranking
    FROM campaigns_campaign AS campaign
    JOIN campaigns_offer AS offer ON offer.id = campaign.fallback_id
    LEFT JOIN recommender_ranking AS ranking ON ranking.id = offer.ranking_id
    WHERE campaign.id = ANY(%s)
"""
CONTENTS = """
    SELECT content.offer_id, placement.key AS placement, content.language, content.headline,
           content.text, content.link, content.image
    FROM campaigns_offercontent AS content
    JOIN campaigns_placement AS placement ON placement.id = content.placement_id
    WHERE placement.channel = 'onsite'
"""
# Those of channels are counted when messages are sent.
LIMITS = """
    SELECT cap.id, cap.limit AS most, cap.is_per_customer, cap.counts, cap.event, cap.window,
           cap.hours, cap.created_at AS made_at,
           CASE WHEN cap.offer_id IS NOT NULL THEN 'offer'
                WHEN cap.campaign_id IS NOT NULL THEN 'campaign' ELSE 'placement' END AS scope,
           COALESCE(offer.key, campaign.key, placement.key) AS key
    FROM campaigns_cap AS cap
    LEFT JOIN campaigns_offer AS offer ON offer.id = cap.offer_id
    LEFT JOIN campaigns_campaign AS campaign ON campaign.id = cap.campaign_id
    LEFT JOIN campaigns_placement AS placement ON placement.id = cap.placement_id
    WHERE cap.channel = '' ORDER BY cap.id
"""
# At most one runs at a time. Paused, it lets nobody newly meet it in experiments; whom it holds out
# it goes on holding out.
HOLDOUT = """
    SELECT experiment.id AS experiment_id, experiment.name, experiment.seed, experiment.traffic,
           arm.id, arm.weight, arm.is_control
    FROM experiments_experiment AS experiment
    JOIN experiments_arm AS arm ON arm.experiment_id = experiment.id
    WHERE experiment.is_global AND experiment.status IN ('running', 'paused')
    ORDER BY arm.position, arm.id
"""
AUDIENCES = "SELECT id, key, kind, rule FROM audience_audience"


class SnapshotLoader:
    """Reads the running campaigns, and unpacks each published version once."""

    def __init__(self, *, zone: ZoneInfo = UTC) -> None:
        """Begin with nothing; `zone` is of the site's clock."""
        self._zone = zone
        self._assembler = Assembler()
        self._odds: Mapping[Version, Odds] = {}
        self._leaves: Mapping[Version, Leaves] = {}

    async def __call__(self, connection: AsyncConnection[Any]) -> Snapshot:
        """Read everything at one moment."""
        async with connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute("SELECT key FROM campaigns_placement WHERE channel = 'onsite'")
            placements = await cursor.fetchall()
            limits = await (await cursor.execute(LIMITS)).fetchall()
            audiences = await (await cursor.execute(AUDIENCES)).fetchall()
            held_out = await (await cursor.execute(HOLDOUT)).fetchall()
            rows = await (await cursor.execute(CAMPAIGNS)).fetchall()
            experiments = [row["experiment_id"] for row in rows]
            ids = [row["campaign_id"] for row in rows]
            arms = await (await cursor.execute(ARMS, [experiments])).fetchall()
            offers = await (await cursor.execute(OFFERS, [ids])).fetchall()
            fallbacks = await (await cursor.execute(FALLBACKS, [ids])).fetchall()
            contents = await (await cursor.execute(CONTENTS)).fetchall()
            self._odds = await _keep_or_read(connection, read_odds, self._odds, rows, "version")
            self._leaves = await _keep_or_read(
                connection, read_leaves, self._leaves, rows, "leaf_version"
            )
        shared = Shared(_to_limits(limits), _to_contents(contents))
        parts = self._gather(rows, arms=arms, offers=offers, fallbacks=fallbacks)
        campaigns = await self._assembler.assemble(parts, shared)
        wanted = {id_ for each in chain(*campaigns.values()) for id_ in each.audiences}
        return Snapshot(
            placements=frozenset(row["key"] for row in placements),
            campaigns=campaigns,
            rules=_to_rules(audiences, wanted),
            heard_limits=find_heard(limits),
            zone=self._zone,
            holdout=_to_holdout(held_out),
        )

    def _gather(
        self,
        rows: Sequence[DictRow],
        *,
        arms: Sequence[DictRow],
        offers: Sequence[DictRow],
        fallbacks: Sequence[DictRow],
    ) -> Sequence[Rows]:
        """Put to each campaign what belongs to it."""
        arms_of = _group(arms, by="experiment_id")
        offers_of = _group(offers, by="campaign_id")
        fallbacks_of = _group(fallbacks, by="campaign_id")
        return [
            Rows(
                campaign=row,
                arms=arms_of.get(row["experiment_id"], ()),
                offers=offers_of.get(row["campaign_id"], ()),
                fallbacks=fallbacks_of.get(row["campaign_id"], ()),
                odds=self._odds.get((row["policy_id"], row["version"])),
                leaves=self._leaves.get((row["policy_id"], row["leaf_version"])),
            )
            for row in rows
        ]


def _group(rows: Sequence[DictRow], *, by: str) -> Mapping[int, Sequence[DictRow]]:
    found: dict[int, list[DictRow]] = {}
    for row in rows:
        found.setdefault(row[by], []).append(row)
    return found


async def _keep_or_read(
    connection: AsyncConnection[Any],
    read: Callable[[AsyncConnection[Any], Collection[Version]], Awaitable[dict[Version, T]]],
    known: Mapping[Version, T],
    rows: Sequence[DictRow],
    column: str,
) -> Mapping[Version, T]:
    """Return the versions that the campaigns use, reading those that are not known yet.

    Args:
        connection: Where to read.
        read: How.
        known: Those at hand.
        rows: The campaigns, each with the number of its version in this column.
        column: Which one.
    """
    used = {(row["policy_id"], row[column]) for row in rows if row[column] is not None}
    kept = {version: known[version] for version in used & known.keys()}
    return kept | await read(connection, used - kept.keys())


def find_heard(rows: Sequence[DictRow]) -> tuple[Limit, ...]:
    """Return those of `LIMITS` that count in total what is heard of."""
    limits = chain(*_to_limits(rows).values())
    return tuple(one for one in limits if not one.is_per_customer and not one.counts_decisions)


def _to_limits(rows: Sequence[DictRow]) -> Mapping[tuple[Scope, str], tuple[Limit, ...]]:
    found: dict[tuple[Scope, str], tuple[Limit, ...]] = {}
    for row in rows:
        limit = Limit(**{**row, "scope": Scope(row["scope"])})
        found[limit.scope, limit.key] = (*found.get((limit.scope, limit.key), ()), limit)
    return found


def _to_contents(
    rows: Sequence[DictRow],
) -> Mapping[tuple[int, str], Mapping[str, Mapping[str, Any]]]:
    found: dict[tuple[int, str], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        said = {name: row[name] for name in ("headline", "text", "link", "image") if row[name]}
        found.setdefault((row["offer_id"], row["placement"]), {})[row["language"]] = said
    return found


def _to_rules(rows: Sequence[DictRow], wanted: Collection[int]) -> Mapping[int, Compiled]:
    """Write for each audience that matters how to find out who is in it."""
    find = finder((row["key"], row["id"], row["kind"], row["rule"]) for row in rows)
    rules: dict[int, Compiled] = {}
    for row in rows:
        if row["id"] not in wanted:
            continue
        try:
            rule = inline(In(row["key"]), find)
        except NoRule:
            # Nobody is in what means nothing; the other audiences mean what they say.
            logger.exception("Nobody can tell who is in the audience %s", row["key"])
        else:
            rules[row["id"]] = holds_for(rule, now=MOMENT, prefix=f"audience_{row['id']}")
    return rules


def _to_holdout(arms: Sequence[DictRow]) -> RunningHoldout | None:
    """Read the hold-out of all campaigns from its arms; the control is who is held out."""
    if not arms:
        return None
    return RunningHoldout(
        experiment_id=arms[0]["experiment_id"],
        name=arms[0]["name"],
        seed=arms[0]["seed"],
        arms=tuple(arm["id"] for arm in arms),
        ranges=ranges([arm["weight"] for arm in arms], arms[0]["traffic"]),
        held_out=next(arm["id"] for arm in arms if arm["is_control"]),
    )
