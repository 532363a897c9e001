"""What is already known of the customers who ask for offers, in one query for all of them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from audience.customers.finding import Found, Name
from audience.customers.meeting import find, take_turns
from audience.rules.sql import Compiled
from campaigns.deciding.contacting import CONTACTS, Watched, bind_contacts, to_contacts
from campaigns.deciding.limits import Limit
from experiments.assigning.exposures import MET_ARMS, MET_AS, to_met_arms
from recommender.decision_ids import first_id_at
from recommender.ranking.reading import Lists
from recommender.weighing.contacts import Contacts

# One customer and one campaign at a time, the newest first, is what `decision_of_customer` holds.
# Asked for all at once, the planner would rather read the ids of everybody's recent decisions.
# The decisions of one slate were made at the same time.
LAST_DECISIONS: LiteralString = """,
    (SELECT COALESCE(jsonb_object_agg(wanted.campaign, held.slate), '{}')
     FROM unnest(%(campaigns)s::text[]) AS wanted (campaign)
     CROSS JOIN LATERAL (
         SELECT last.customer_id, last.decided_at
         FROM unnest(person.ids) AS same (id)
         CROSS JOIN LATERAL (
             SELECT decision.customer_id, decision.decided_at
             FROM recommender_decision AS decision
             WHERE decision.customer_id = same.id AND decision.campaign = wanted.campaign
               AND decision.id >= %(since)s
             ORDER BY decision.decided_at DESC LIMIT 1) AS last
         ORDER BY last.decided_at DESC, last.customer_id DESC LIMIT 1) AS newest
     CROSS JOIN LATERAL (
         SELECT jsonb_agg(jsonb_build_object(
             'id', slot.id, 'decided_at', slot.decided_at, 'position', slot.position,
             'arm', slot.arm, 'offer', slot.offer, 'propensity', slot.propensity,
             'policy_version', slot.policy_version, 'reasons', slot.reasons,
             'products', slot.products)
             ORDER BY slot.position, slot.id DESC) AS slate
         FROM recommender_decision AS slot
         WHERE slot.customer_id = newest.customer_id AND slot.campaign = wanted.campaign
           AND slot.decided_at = newest.decided_at AND slot.id >= %(since)s) AS held)
"""
# In the place of what nobody asks for.
NOTHING: LiteralString = ", NULL"
# How often each offer that has a limit per customer was given to this one.
GIVEN: LiteralString = """,
    (SELECT COALESCE(jsonb_object_agg(capped.offer, counted.times), '{}')
     FROM unnest(%(capped)s::text[], %(capped_since)s::uuid[]) AS capped (offer, since)
     CROSS JOIN LATERAL (
         SELECT count(*) AS times FROM recommender_decision AS decision
         WHERE decision.customer_id = ANY(person.ids) AND decision.id >= capped.since
           AND decision.offer = capped.offer) AS counted)
"""
# When this customer last had what further limits count, as often as each limit allows. What is seen
# or clicked names its decision, or the offer itself.
TIMES: LiteralString = """,
    (SELECT COALESCE(jsonb_object_agg(cap.id, used.times), '{}')
     FROM unnest(%(cap_ids)s::bigint[], %(cap_scopes)s::text[], %(cap_keys)s::text[],
                 %(cap_events)s::jsonb[], %(cap_mosts)s::int[], %(cap_since)s::timestamptz[],
                 %(cap_since_ids)s::uuid[])
         AS cap (id, scope, key, events, most, since, since_id)
     CROSS JOIN LATERAL (
         SELECT jsonb_agg(newest.at) AS times FROM (
             SELECT given.at FROM (
                 SELECT decision.decided_at AS at FROM recommender_decision AS decision
                 WHERE cap.events IS NULL AND decision.customer_id = ANY(person.ids)
                   AND decision.id >= cap.since_id AND decision.offer IS NOT NULL
                   AND CASE cap.scope WHEN 'offer' THEN decision.offer = cap.key
                           WHEN 'campaign' THEN decision.campaign = cap.key
                           ELSE decision.placement = cap.key END
                 UNION ALL
                 SELECT event.occurred_at FROM audience_event AS event
                 WHERE event.customer_id = ANY(person.ids) AND event.occurred_at >= cap.since
                   AND cap.events ? event.name
                   AND ((cap.scope = 'offer' AND cap.key IN (event.properties ->> 'promotion_id',
                                                             event.properties ->> 'offer'))
                     OR EXISTS (
                         SELECT FROM recommender_decision AS decision
                         WHERE decision.customer_id = ANY(person.ids)
                           AND decision.id::text = event.properties ->> 'decision_id'
                           AND CASE cap.scope WHEN 'offer' THEN decision.offer = cap.key
                                   WHEN 'campaign' THEN decision.campaign = cap.key
                                   ELSE decision.placement = cap.key END))) AS given
             ORDER BY given.at DESC LIMIT cap.most) AS newest) AS used
     WHERE used.times IS NOT NULL)
"""
# Which of the audiences that matter the customer is in.
MEMBER_OF: LiteralString = """,
    ARRAY(SELECT audience.id FROM (VALUES {pairs}) AS audience (id, is_in) WHERE audience.is_in)
"""
# The time of the question, for the rules of audiences.
MOMENT: LiteralString = "%(moment)s::timestamptz"
# The columns of somebody of whom nothing was asked.
NOT_KNOWN: tuple[Any, ...] = ({}, {}, {}, {}, {}, {}, ())
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Held:
    """One place of the last slate that a campaign decided for a customer."""

    id: uuid.UUID
    decided_at: datetime
    position: int
    arm: str
    offer: str | None
    propensity: float
    policy_version: int | None
    reasons: Sequence[str]
    # Keys of the customer's products that came with the offer.
    products: Sequence[str] = ()


@dataclass(slots=True)
class Known:
    """A customer as far as the deciding knows; what is decided is added.

    Attributes:
        id: Of the customer; None is a stranger, or that nobody could be asked.
        key: What is hashed.
        attributes: What is known besides the request's context.
        arms: The arm met, by the experiment's id.
        met_as: The key under which it was met, where that was another one.
        held: The last slate of each campaign, by its key.
        given: How often each offer with a limit per customer was given; None if that is not known.
        times: When further limits per customer were last used, by their ids; None is not known.
        member_of: The audiences that the customer is in, of those that matter; None is not known.
        lists: What rankings list for this customer, and for others who ask at the same time.
        contacts: What campaigns gave lately, by their keys, of those whose policies look at it;
            None is not known.
    """

    id: int | None
    key: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    arms: dict[int, int] = field(default_factory=dict)
    held: dict[str, Sequence[Held]] = field(default_factory=dict)
    given: dict[str, int] | None = None
    times: dict[int, list[datetime]] | None = None
    member_of: frozenset[int] | None = None
    lists: Lists = field(default_factory=Lists)
    contacts: dict[str, Contacts] | None = None
    met_as: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What has to be known, by what may decide.

    Attributes:
        experiments: Ids of the experiments that matter.
        holds: For how many seconds each campaign lets a customer keep an offer.
        capped_days: Over how many days each offer with a limit per customer is counted.
        limits: Further limits per customer.
        audiences: How to find out who is in the audiences that matter, by their ids.
        watched: Whose contacts matter.
    """

    experiments: Sequence[int]
    holds: Mapping[str, int]
    capped_days: Mapping[str, int]
    limits: Sequence[Limit] = ()
    audiences: Mapping[int, Compiled] = field(default_factory=dict)
    watched: Watched = field(default_factory=lambda: Watched({}))


async def recall(
    connection: AsyncConnection[Any], names: Sequence[Name], wanted: Wanted, *, now: datetime
) -> Sequence[Known]:
    """Find customers with what these experiments and campaigns gave before.

    Where there are limits per customer, requests of one customer take turns until the transaction
    at hand ends, and strangers are made for it.
    """
    since = first_id_at(now - timedelta(seconds=max(wanted.holds.values(), default=0)))
    params: dict[str, Any] = {
        "experiments": list(wanted.experiments),
        "campaigns": list(wanted.holds),
        "since": since,
    }
    capped, limits = wanted.capped_days, wanted.limits
    if capped:
        params["capped"] = list(capped)
        params["capped_since"] = [first_id_at(now - timedelta(days=n)) for n in capped.values()]
    besides = MET_ARMS + MET_AS + LAST_DECISIONS + (GIVEN if capped else NOTHING)
    besides += TIMES if limits else NOTHING
    params |= _bind(limits, now=now) if limits else {}
    besides += CONTACTS if wanted.watched.events else NOTHING
    params |= bind_contacts(wanted.watched, now=now) if wanted.watched.events else {}
    for compiled in wanted.audiences.values():
        params |= compiled.params
    params["moment"] = now
    if capped or limits:
        await take_turns(connection, names)
    besides += _member_of(wanted.audiences)
    return _to_known(await find(connection, names, besides=besides, params=params))


def _bind(limits: Sequence[Limit], *, now: datetime) -> dict[str, Any]:
    """Write limits as the parameters of `TIMES`."""
    since = [limit.earliest(now) or LONG_AGO for limit in limits]
    return {
        "cap_ids": [limit.id for limit in limits],
        "cap_scopes": [limit.scope.value for limit in limits],
        "cap_keys": [limit.key for limit in limits],
        "cap_events": [
            None if limit.counts_decisions else Jsonb(list(limit.events)) for limit in limits
        ],
        "cap_mosts": [limit.most for limit in limits],
        "cap_since": since,
        "cap_since_ids": [first_id_at(at) for at in since],
    }


def _member_of(audiences: Mapping[int, Compiled]) -> LiteralString:
    if not audiences:
        return NOTHING
    pairs = ", ".join(f"({id_}, {rule.sql})" for id_, rule in audiences.items())
    # Rules are compiled with parameters in the place of all that people wrote.
    return MEMBER_OF.format(pairs=pairs)


def _to_known(found: Sequence[Found]) -> Sequence[Known]:
    """Give every customer one memory, however often they ask."""
    known: dict[int | str, Known] = {}
    for each in found:
        if (each.id or each.key) in known:
            continue
        arms, met_as, held, given, times, contacts, member_of = each.besides or NOT_KNOWN
        known[each.id or each.key] = Known(
            id=each.id or None,
            key=each.key,
            attributes=each.attributes,
            arms=to_met_arms(arms),
            met_as={int(experiment): key for experiment, key in met_as.items()},
            held={campaign: [_to_held(slot) for slot in slate] for campaign, slate in held.items()},
            given=given or {},
            times={
                int(limit): [datetime.fromisoformat(at) for at in used]
                for limit, used in (times or {}).items()
            },
            member_of=frozenset(member_of or ()),
            contacts=to_contacts(contacts or {}),
        )
    return [known[each.id or each.key] for each in found]


def _to_held(slot: Mapping[str, Any]) -> Held:
    return Held(
        id=uuid.UUID(slot["id"]),
        decided_at=datetime.fromisoformat(slot["decided_at"]),
        position=slot["position"],
        arm=slot["arm"],
        offer=slot["offer"],
        propensity=slot["propensity"],
        policy_version=slot["policy_version"],
        reasons=slot["reasons"],
        products=slot["products"],
    )
