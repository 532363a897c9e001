"""Hears of offers that clients drew by themselves, and logs them as decisions.

An SDK's tracking callback tells which draw it was, of which leaf and by which weights;
`redrawing.py` checks that.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from audience.intake.listening import Listener, Told
from audience.intake.rejecting import Rejection, record_rejections, reject
from audience.keeping.partitions import make_months, month_of
from campaigns.client_draws.draws import BY_CLIENT
from campaigns.client_draws.redrawing import (
    Customer,
    Facts,
    Refused,
    View,
    check_view,
    name_of,
)
from campaigns.deciding.snapshot import Snapshot
from experiments.assigning.exposures import Met, record_exposures
from recommender.decision_ids import DECISIONS, decision_partition, first_id_at
from recommender.decisions import Logged, log_decisions
from recommender.weighing.leaves import Leaves
from recommender.weighing.published import Version, read_leaves
from wire.current import Current

STARTED = "SELECT id, started_at FROM experiments_experiment WHERE id = ANY(%s)"
CUSTOMERS = "SELECT id, external_key, attributes FROM audience_customer WHERE id = ANY(%s)"
LOGGED = f"""
    SELECT DISTINCT customer_id, campaign, policy_version FROM {DECISIONS}
    WHERE customer_id = ANY(%(customers)s) AND campaign = ANY(%(campaigns)s)
      AND id >= %(since)s AND reasons ? %(by_client)s
"""
MISSING = """
    SELECT number - 1 FROM unnest(%s::text[]) WITH ORDINALITY AS month (name, number)
    WHERE to_regclass(name) IS NULL
"""
# Versions that are kept at hand; clients draw by the newest and, for a while, by those before.
TABLES_AT_HAND = 64

# A customer, a campaign, and the policy's version or none: what is drawn for once.
Place = tuple[int, str, int | None]


class DrawnOffers:
    """Listens for `Experiment Viewed` of campaigns' draws, and lets others hear of the rest."""

    def __init__(self, campaigns: Current[Snapshot], *, others: Listener) -> None:
        """Know campaigns by `campaigns`; `others` hears of every event that is no such view."""
        self._campaigns = campaigns
        self._others = others
        self._tables: dict[Version, Leaves] = {}

    async def __call__(self, connection: AsyncConnection[Any], stored: Sequence[Told], /) -> None:
        """Log a decision for each view, at its time, in the transaction at hand.

        The event stays an event in any case. A customer counts once for every draw: whoever comes
        back is shown the same offer, which is no new decision.
        """
        named = [(told, name_of(told)) for told in stored]
        await self._others(connection, [told for told, name in named if name is None])
        views = [View(told, name) for told, name in named if name is not None]
        if not views:
            return
        facts = await self._read_facts(connection, views)
        rejections: list[Rejection] = []
        logged: dict[Place, Logged] = {}
        met: list[Met] = []
        for view in sorted(views, key=lambda view: view.at):
            try:
                decision, exposure = check_view(view, facts)
            except Refused as error:
                rejections.append(reject(view.told, str(error)))
                continue
            place = (view.told.customer_id, decision.campaign, decision.policy_version)
            logged.setdefault(place, decision)
            if exposure is not None:
                met.append(exposure)
        await record_rejections(connection, rejections)
        if logged:
            await _record(connection, logged, met, since=min(facts.started.values()))

    async def _read_facts(self, connection: AsyncConnection[Any], views: Sequence[View]) -> Facts:
        snapshot = await self._campaigns.get()
        all_ = {campaign.key: campaign for campaign in snapshot.all_campaigns}
        campaigns = {
            v.name.campaign: all_[v.name.campaign] for v in views if v.name.campaign in all_
        }
        experiments = [campaign.experiment_id for campaign in campaigns.values()]
        started = await (await connection.execute(STARTED, [experiments])).fetchall()
        ids = list({view.told.customer_id for view in views})
        async with connection.cursor(row_factory=class_row(Customer)) as cursor:
            customers = await (await cursor.execute(CUSTOMERS, [ids])).fetchall()
        wanted = {
            (campaigns[view.name.campaign].policy.id, view.name.version)
            for view in views
            if view.name.version is not None and view.name.campaign in campaigns
        }
        return Facts(
            campaigns=campaigns,
            started=dict(started),
            customers={customer.id: customer for customer in customers},
            leaves=await self._read_leaves(connection, wanted),
        )

    async def _read_leaves(
        self, connection: AsyncConnection[Any], wanted: set[Version]
    ) -> Mapping[Version, Leaves]:
        """Return tables of leaves, which never change, so each is read once."""
        new = wanted - self._tables.keys()
        if new:
            if len(self._tables) > TABLES_AT_HAND:
                self._tables = {at: self._tables[at] for at in wanted & self._tables.keys()}
            # What cannot be read cannot be drawn by; the other events are stored all the same.
            self._tables |= await read_leaves(connection, new)
        return self._tables


async def _record(
    connection: AsyncConnection[Any],
    logged: Mapping[Place, Logged],
    met: Sequence[Met],
    *,
    since: datetime,
) -> None:
    """Write decisions of customers who had none of the same draw, and the arms that were met.

    Of two requests at the very same time both may be the first: then there are two decisions, each
    with its right propensity.
    """
    firsts = {(each.experiment_id, each.customer_id): each for each in reversed(met)}
    await record_exposures(connection, list(firsts.values()))
    cursor = await connection.execute(
        LOGGED,
        {
            "customers": [customer for customer, _, _ in logged],
            "campaigns": list({campaign for _, campaign, _ in logged}),
            "since": first_id_at(since),
            "by_client": BY_CLIENT,
        },
    )
    known = set(await cursor.fetchall())
    decisions = [decision for place, decision in logged.items() if place not in known]
    if decisions:
        await _make_partitions(connection, decisions)
        await log_decisions(connection, decisions)


async def _make_partitions(connection: AsyncConnection[Any], decisions: Sequence[Logged]) -> None:
    """Make the months that are not there, in the transaction at hand.

    By another connection it would wait for this one, which may have made customers, for ever.
    """
    months = sorted({month_of(decision.decided_at) for decision in decisions})
    names = [f"{DECISIONS}_{month:%Y_%m}" for month in months]
    missing = await (await connection.execute(MISSING, [names])).fetchall()
    if missing:
        await make_months(connection, decision_partition, [months[number] for (number,) in missing])
