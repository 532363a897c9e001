"""What customers agree to: recorded with its history, and asked before anything is sent.

A visitor who turned out to be a customer is that person: what either said counts for both, and
of what they said the latest holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, models, transaction

from audience.consent.suppression import find_suppressed
from audience.models import Channel, Consent, ConsentChange, ConsentState, Customer

MOST_AT_ONCE = 500

# Of several addresses the customer's own comes first, then the newest. Of two things that were
# said at the same moment, a refusal holds.
STANDINGS = """
    SELECT asked.id,
           CASE WHEN %(channel)s = 'email'
                THEN COALESCE(NULLIF(person.attributes ->> 'email', ''), address.value)
                ELSE person.external_key END,
           said.state
    FROM unnest(%(customers)s::bigint[]) AS asked (id)
    JOIN audience_customer AS customer ON customer.id = asked.id
    JOIN audience_customer AS person
      ON person.id = COALESCE(customer.merged_into_id, customer.id)
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT person.id UNION ALL
                     SELECT id FROM audience_customer WHERE merged_into_id = person.id) AS ids
    ) AS everybody
    LEFT JOIN LATERAL (
        SELECT value FROM audience_identity
        WHERE kind = 'email' AND customer_id = ANY(everybody.ids)
        ORDER BY customer_id = person.id DESC, id DESC LIMIT 1
    ) AS address ON true
    LEFT JOIN LATERAL (
        SELECT state FROM audience_consent
        WHERE customer_id = ANY(everybody.ids)
          AND channel = %(channel)s AND purpose = %(purpose)s
        ORDER BY changed_at DESC, state = 'opted_out' DESC LIMIT 1
    ) AS said ON true
"""


class Refusal(models.TextChoices):
    """Why somebody may not be written to now."""

    UNKNOWN = "unknown", "The customer is not known any more"
    NO_ADDRESS = "no_address", "There is no address"
    NOT_ASKED = "not_asked", "The customer has not agreed"
    NOT_CONFIRMED = "not_confirmed", "The customer was asked and has not confirmed"
    OPTED_OUT = "opted_out", "The customer declined"
    SUPPRESSED = "suppressed", "Nothing is sent to the address any more"


_REFUSED_BY = {
    None: Refusal.NOT_ASKED,
    ConsentState.PENDING: Refusal.NOT_CONFIRMED,
    ConsentState.OPTED_OUT: Refusal.OPTED_OUT,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a customer is reached, and what was said to that."""

    address: str | None
    state: str | None


def person_of(customer: Customer) -> int:
    """Return the id of the customer that this one is or turned out to be."""
    return customer.merged_into_id or customer.pk


@transaction.atomic
def record_consent(
    customer: Customer,
    *,
    channel: Channel,
    purpose: str,
    state: ConsentState,
    source: str,
    evidence: Mapping[str, Any],
    now: datetime,
) -> bool:
    """Record what a person said, with the history; return whether it was anything new.

    Args:
        customer: Who; where this one turned out to be another, that one.
        channel: By what one is written to.
        purpose: About what.
        state: What was said.
        source: How we know, such as "one-click", "form" or "import".
        evidence: What proves it.
        now: When.
    """
    # Whoever says two things at once is heard one after the other.
    person = Customer.objects.select_for_update(no_key=True).get(pk=person_of(customer))
    known = find_standings([person.pk], channel=channel, purpose=purpose)[person.pk].state
    if known == state:
        return False
    Consent.objects.update_or_create(
        customer=person,
        channel=channel,
        purpose=purpose,
        defaults={"state": state, "changed_at": now},
    )
    ConsentChange.objects.create(
        customer=person,
        channel=channel,
        purpose=purpose,
        state=state,
        source=source,
        evidence=dict(evidence),
        changed_at=now,
    )
    return True


def find_standings(
    customer_ids: Sequence[int], *, channel: Channel, purpose: str
) -> Mapping[int, Standing]:
    """Return where customers are reached and what they said, of those who exist, in one query.

    An e-mail goes to the address among the person's attributes, or to one that is another name of
    the person; a webhook names the customer's key.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            STANDINGS,
            {"customers": list(customer_ids), "channel": channel.value, "purpose": purpose},
        )
        return {id_: Standing(address, state) for id_, address, state in cursor.fetchall()}


def find_refusals(
    customer_ids: Sequence[int], *, channel: Channel, purpose: str
) -> Mapping[int, Refusal]:
    """Return who may not be written to at this moment, and why; whoever is left out may be.

    What is committed before the call is seen, also within a transaction that began earlier: ask
    right before sending.

    Raises:
        ValueError: More are asked for than a batch has.
    """
    if len(customer_ids) > MOST_AT_ONCE:
        raise ValueError(f"Ask for at most {MOST_AT_ONCE} customers, not {len(customer_ids)}.")
    standings = find_standings(customer_ids, channel=channel, purpose=purpose)
    addresses = {one.address for one in standings.values() if one.address}
    suppressed = find_suppressed(addresses, channel=channel)
    refusals: dict[int, Refusal] = {}
    for id_ in customer_ids:
        refusal = _refusal_of(standings.get(id_), suppressed)
        if refusal is not None:
            refusals[id_] = refusal
    return refusals


def _refusal_of(standing: Standing | None, suppressed: Mapping[str, Any]) -> Refusal | None:
    if standing is None:
        return Refusal.UNKNOWN
    if not standing.address:
        return Refusal.NO_ADDRESS
    if standing.address in suppressed:
        return Refusal.SUPPRESSED
    if standing.state == ConsentState.OPTED_IN:
        return None
    return _REFUSED_BY[None if standing.state is None else ConsentState(standing.state)]
