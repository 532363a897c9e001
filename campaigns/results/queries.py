"""Asks the record what a campaign's offers cost, and what each of its decisions earned.

An event belongs to one decision at most, over all campaigns: to the one that it names, or else to
the last before it that gave the person an offer and whose campaign still counts. In a slate that is
the first place, or the first whose product it names. So the sums of all campaigns never hold an
order twice. What takes back an order that it names belongs to that order, however late it comes,
and an order that is taken back wholly never was one. A policy's rewards are counted by the same
rule within one campaign (`recommender/rewards/settling.py`): what it learns must not hang on which
other page a customer happened to see last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from django.db import connection

from audience.commerce import CANCELLED, ORDER_ID, ORDERED, REFUNDED
from campaigns.models import Campaign
from experiments.measuring.queries import to_moments
from experiments.sql.conditions import as_time, quoted
from experiments.stats.moments import Moments
from recommender.decision_ids import first_id_at
from recommender.delays import UNDONE
from recommender.models import Policy, RewardKind

# Places of `campaigns.results.offers`.
COLUMNS: LiteralString = (
    "asked, drawn, goals, revenue, weight, weighted_goals, weighted_revenue, weighted_net"
)
NAMES = COLUMNS.split(", ")
MEANS = ", ".join(f"avg({name}) FILTER (WHERE asked > 0)" for name in NAMES)
COVARIANCES = ", ".join(
    f"covar_samp({NAMES[i]}, {NAMES[j]}) FILTER (WHERE asked > 0)"
    for i in range(len(NAMES))
    for j in range(i + 1)
)
EARNED = f"""
    WITH person AS (
        SELECT DISTINCT COALESCE(customer.merged_into_id, customer.id) AS id
        FROM recommender_decision AS decision
        JOIN audience_customer AS customer ON customer.id = decision.customer_id
        WHERE decision.campaign = %(campaign)s AND decision.id >= %(first)s
    ), called AS (
        SELECT customer.id AS customer_id, person.id AS person
        FROM person
        JOIN audience_customer AS customer
          ON COALESCE(customer.merged_into_id, customer.id) = person.id
    ), counting AS (
        SELECT campaign.key, make_interval(secs => policy.reward_window_seconds) AS lasts
        FROM campaigns_campaign AS campaign
        JOIN recommender_policy AS policy ON policy.id = campaign.policy_id
    ), decided AS (
        SELECT decision.id, called.person, decision.campaign, decision.offer, decision.position,
               decision.ranker_version IS NOT NULL AS may_be_product,
               decision.decided_at, decision.decided_at + counting.lasts AS until,
               decision.arm, decision.held_back, decision.propensity, decision.eligible,
               decision.weights, decision.cost_cents / 100.0 AS cost,
               decision.position = 0 AND cardinality(decision.eligible) > 0
                   AND decision.decided_at + counting.lasts <= %(now)s AS is_judged
        FROM recommender_decision AS decision
        JOIN called ON called.customer_id = decision.customer_id
        JOIN counting ON counting.key = decision.campaign
        WHERE decision.id >= %(first)s AND decision.decided_at <= %(now)s
    ), happened AS (
        SELECT event.id, called.person, event.name, event.occurred_at, event.value,
               event.properties ->> 'decision_id' AS decision_id,
               event.properties ->> 'currency' AS currency, {ORDER_ID} AS order_id,
               event.properties -> 'products' AS products,
               COALESCE(event.properties ->> 'product_id', event.properties ->> 'sku') AS product
        FROM audience_event AS event
        JOIN called ON called.customer_id = event.customer_id
        WHERE event.name = ANY(%(names)s)
          AND event.occurred_at >= %(since)s AND event.occurred_at <= %(now)s
    ), taken AS (
        SELECT person, order_id, sum(abs(value)) AS amount FROM happened
        WHERE name = ANY(%(reversals)s) AND order_id IS NOT NULL GROUP BY person, order_id
    ), belongs AS (
        SELECT DISTINCT ON (happened.id) decided.id AS decision_id, happened.name,
               happened.value, taken.amount AS taken
        FROM happened
        LEFT JOIN taken ON happened.name = %(ordered)s
         AND taken.person = happened.person AND taken.order_id = happened.order_id
        JOIN decided ON decided.person = happened.person
         AND decided.offer IS NOT NULL
         AND happened.occurred_at >= decided.decided_at AND happened.occurred_at < decided.until
         AND (happened.decision_id IS NULL OR happened.decision_id = decided.id::text)
        WHERE happened.name <> ALL(%(reversals)s) OR happened.order_id IS NULL
        ORDER BY happened.id, decided.decided_at DESC,
                 (decided.may_be_product AND (
                     happened.product = decided.offer
                     OR happened.products @> jsonb_build_array(
                         jsonb_build_object('product_id', decided.offer))
                     OR happened.products @> jsonb_build_array(
                         jsonb_build_object('sku', decided.offer)))) IS TRUE DESC,
                 decided.position, decided.id DESC
    ), kept AS (
        SELECT decision_id, name, CASE WHEN taken IS NULL THEN value
                                       ELSE COALESCE(value, 0) - taken END AS value,
               name = %(goal)s AND (taken IS NULL OR COALESCE(value, 0) - taken >= {UNDONE})
                   AS is_goal
        FROM belongs
    ), earned AS (
        SELECT decision_id,
               CASE %(kind)s WHEN 'any' THEN LEAST(count(*) FILTER (WHERE is_goal), 1)
                             WHEN 'count' THEN count(*) FILTER (WHERE is_goal)
                             ELSE COALESCE(sum(value) FILTER (WHERE is_goal), 0)
               END AS goals,
               COALESCE(sum(CASE WHEN name = %(ordered)s THEN value
                                 WHEN name = ANY(%(reversals)s) THEN -abs(value) END), 0) AS revenue
        FROM kept GROUP BY decision_id
    )
"""
# An offer could have been drawn where it was among what is logged as eligible. Places further down
# are drawn from what those before them left, so only the first one counts there; and of a decision
# that is not over yet nobody knows what it earned. `tells` and `counts` are groups of customers:
# see `campaigns.results.offers`.
BY_OFFER = f"""
    {EARNED}, told AS (
        SELECT key, decided.arm, decided.held_back, count(*) AS decisions,
               COALESCE(1 / avg(1 / NULLIF(chance, 0)), 0) AS tells
        FROM decided
        CROSS JOIN LATERAL unnest(decided.eligible, decided.weights) AS one (key, chance)
        WHERE decided.campaign = %(campaign)s AND key <> '' AND decided.is_judged
        GROUP BY key, decided.arm, decided.held_back
    ), counted AS (
        SELECT key, arm, held_back,
               tells * sum(decisions) OVER offer / NULLIF(sum(decisions * tells) OVER offer, 0)
                   AS counts
        FROM told WINDOW offer AS (PARTITION BY key)
    ), asked AS (
        SELECT decided.person, key, decided.offer IS NOT DISTINCT FROM key AS is_it,
               decided.is_judged AND counted.counts IS NOT NULL AS is_judged,
               counted.counts, counted.counts / decided.propensity AS weight,
               decided.cost, COALESCE(earned.goals, 0) AS goals,
               COALESCE(earned.revenue, 0) AS revenue
        FROM decided
        LEFT JOIN earned ON earned.decision_id = decided.id
        CROSS JOIN LATERAL (SELECT unnest(decided.eligible) UNION SELECT decided.offer) AS one (key)
        LEFT JOIN counted USING (key, arm, held_back)
        WHERE decided.campaign = %(campaign)s AND key <> ''
    ), customer AS (
        SELECT key, person,
               count(*) FILTER (WHERE is_it) AS all_given,
               COALESCE(sum(cost) FILTER (WHERE is_it), 0) AS all_cost,
               COALESCE(sum(goals) FILTER (WHERE is_it), 0) AS all_goals,
               COALESCE(sum(revenue) FILTER (WHERE is_it), 0) AS all_revenue,
               COALESCE(sum(counts) FILTER (WHERE is_judged), 0) AS asked,
               count(*) FILTER (WHERE is_judged AND is_it) AS drawn,
               COALESCE(sum(goals) FILTER (WHERE is_judged AND is_it), 0) AS goals,
               COALESCE(sum(revenue) FILTER (WHERE is_judged AND is_it), 0) AS revenue,
               COALESCE(sum(weight) FILTER (WHERE is_judged AND is_it), 0) AS weight,
               COALESCE(sum(weight * goals) FILTER (WHERE is_judged AND is_it), 0)
                   AS weighted_goals,
               COALESCE(sum(weight * revenue) FILTER (WHERE is_judged AND is_it), 0)
                   AS weighted_revenue,
               COALESCE(sum(weight * (%(margin)s::float8 * revenue - cost))
                        FILTER (WHERE is_judged AND is_it), 0) AS weighted_net
        FROM asked GROUP BY key, person
    )
    SELECT key, sum(all_given), count(*) FILTER (WHERE all_given > 0), sum(all_cost),
           sum(all_goals), sum(all_revenue), count(*) FILTER (WHERE asked > 0), ARRAY[{MEANS}],
           ARRAY[{COVARIANCES}]
    FROM customer GROUP BY key ORDER BY key
"""
CURRENCIES = f"""
    {EARNED}
    SELECT DISTINCT upper(currency) FROM happened
    WHERE name = %(ordered)s AND currency IS NOT NULL ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class OfferLog:
    """What was logged of one offer in a campaign.

    Attributes:
        key: The offer's.
        given: How often it was given out.
        customers: To how many.
        cost: What it cost all together, each at the cost of its time.
        goals: What these decisions earned of the goal.
        revenue: What was ordered, less what was taken back.
        moments: Of the columns of `campaigns.results.offers`, over customers who could have got it.
    """

    key: str
    given: int
    customers: int
    cost: float
    goals: float
    revenue: float
    moments: Moments


def write_cost(campaign: Campaign, *, since: datetime, now: datetime) -> str:
    """Write the statement of what each offer given to a customer cost at that time."""
    return f"""
        SELECT decision.customer_id, decision.cost_cents / 100.0 AS amount
        FROM recommender_decision AS decision
        WHERE decision.campaign = {quoted(campaign.key)} AND decision.cost_cents > 0
          AND decision.id >= {quoted(str(first_id_at(since)))}
          AND decision.decided_at <= {as_time(now)}
    """


def margin_of(policy: Policy) -> float:
    """Return the share of revenue that is left; all of it where nobody said."""
    return 1.0 if policy.margin is None else policy.margin


def read_offers(campaign: Campaign, *, since: datetime, now: datetime) -> list[OfferLog]:
    """Return what was logged of each offer that a campaign gave out or could have."""
    return [
        OfferLog(
            key,
            int(given),
            customers,
            float(cost),
            float(goals),
            float(revenue),
            # Of an offer that could not be drawn in any decision that is over there is nothing.
            to_moments(n, [float(mean or 0) for mean in means], lower),
        )
        for key, given, customers, cost, goals, revenue, n, means, lower in _run(
            BY_OFFER, campaign, since=since, now=now
        )
    ]


def find_currencies(campaign: Campaign, *, since: datetime, now: datetime) -> list[str]:
    """Return in which currencies the campaign's customers ordered, as far as their orders say."""
    return [currency for (currency,) in _run(CURRENCIES, campaign, since=since, now=now)]


def _run(
    statement: str, campaign: Campaign, *, since: datetime, now: datetime
) -> Sequence[tuple[Any, ...]]:
    policy = campaign.policy
    params: dict[str, Any] = {
        "campaign": campaign.key,
        "first": first_id_at(since),
        "since": since,
        "now": now,
        "names": sorted({policy.reward_event, ORDERED, REFUNDED, CANCELLED}),
        "goal": policy.reward_event,
        "kind": RewardKind(policy.reward_kind).value,
        "margin": margin_of(policy),
        "ordered": ORDERED,
        "reversals": [REFUNDED, CANCELLED],
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
