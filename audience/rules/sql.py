"""Writes rules as SQL: true or false for one person, or all whom a rule means.

It means the same as `evaluation.py`. Whatever a rule says comes in as a parameter, and every
fragment is true or false and never NULL, so that `NOT` means what it says. No text of a rule, and
no per cent sign, stands in the SQL itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audience.rules.grammar import (
    All,
    Events,
    Happened,
    In,
    Known,
    Last,
    Listed,
    Named,
    Not,
    Rule,
    Some,
    Total,
    Window,
)
from audience.rules.value_sql import is_met

# The columns that `audience/customers/finding.py` finds people with.
IDS = "person.ids"
ATTRIBUTES = "customer.attributes"
PERSON_OF = "COALESCE(named.merged_into_id, named.id)"
EVENTS_OF = (
    f"SELECT {PERSON_OF} AS id FROM audience_event AS event"
    " JOIN audience_customer AS named ON named.id = event.customer_id WHERE "
)
LISTED = (
    f"SELECT {PERSON_OF} AS id FROM audience_membership AS member"
    " JOIN audience_customer AS named ON named.id = member.customer_id WHERE "
)
CENTS = "COALESCE(sum(round(event.value * 100)::bigint), 0)"


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL with named places, such as `%(rule_0)s`, and what goes into them."""

    sql: str
    params: dict[str, Any]


def holds_for(
    rule: Rule,
    *,
    ids: str = IDS,
    attributes: str = ATTRIBUTES,
    now: str = "now()",
    prefix: str = "rule",
) -> Compiled:
    """Write whether a rule holds for a person, as one expression: for few people at a time.

    Args:
        rule: Without names of audiences (see `nesting.py`).
        ids: SQL of an array with the ids of all customers that the person is.
        attributes: SQL of what is known of the person.
        now: SQL of the time.
        prefix: Of the parameters' names, to tell several rules of one statement apart.
    """
    writer = _Writer(attributes=attributes, now=now, ids=ids, prefix=prefix)
    return Compiled(writer.write(rule), writer.params)


def members_of(rule: Rule, *, now: datetime, columns: str = "customer.id") -> Compiled:
    """Write the query for everybody for whom a rule holds: once each, by the id they go by now.

    Args:
        rule: Without names of audiences (see `nesting.py`).
        now: The time.
        columns: What to select of `customer`.
    """
    writer = _Writer(attributes=ATTRIBUTES, now="%(rule_now)s::timestamptz", ids=None)
    text = writer.write(rule)
    joins = "".join(
        f" LEFT JOIN ({query}) AS set_{n} ON set_{n}.id = customer.id"
        for n, query in enumerate(writer.sets)
    )
    sql = (
        f"SELECT {columns} FROM audience_customer AS customer{joins}"
        f" WHERE customer.merged_into_id IS NULL AND {text}"
    )
    return Compiled(sql, {**writer.params, "rule_now": now})


@dataclass(slots=True)
class _Writer:
    """Writes the parts of a rule and keeps their parameters.

    Attributes:
        attributes: SQL of what is known of a person.
        now: SQL of the time.
        ids: SQL of the person's ids, whose rows are looked up by an index; None where everybody is
            asked for, who are found as sets, each in one pass.
        prefix: Of the parameters' names.
        params: The parameters so far.
        sets: The queries so far for people of whom something is so, each of them once.
    """

    attributes: str
    now: str
    ids: str | None
    prefix: str = "rule"
    params: dict[str, Any] = field(default_factory=dict)
    sets: list[str] = field(default_factory=list)

    def bind(self, value: Any, type_: str) -> str:
        name = f"{self.prefix}_{len(self.params)}"
        self.params[name] = value
        return f"%({name})s::{type_}"

    def write(self, rule: Rule) -> str:
        match rule:
            case All(parts):
                return _join("AND", [self.write(part) for part in parts], empty="TRUE")
            case Some(parts):
                return _join("OR", [self.write(part) for part in parts], empty="FALSE")
            case Not(part):
                return f"(NOT {self.write(part)})"
        return self._test(rule)

    def _test(self, rule: Known | Happened | Last | Total | In | Listed) -> str:
        match rule:
            case Known(named):
                return self._is_met(self.attributes, named)
            case Happened(events, least, most):
                return self._happened(events, least, most)
            case Last():
                return self._last(rule)
            case Total():
                return self._total(rule)
            case Listed(audience_id):
                return self._listed(audience_id)
        raise ValueError(f"The audience {rule.audience} is not put in its place.")

    def _is_met(self, values: str, named: Named) -> str:
        # By a name, `->` leads through objects only.
        steps = [values, *(self.bind(name, "text") for name in named.path.split("."))]
        value = f"({' -> '.join(steps)})"
        return f"({is_met(value, named.test, self.bind, self.now)})"

    def _happened(self, events: Events, least: int, most: int | None) -> str:
        parts = []
        if least:
            parts.append(self._at_least(events, least))
        if most is not None:
            parts.append(f"(NOT {self._at_least(events, most + 1)})")
        return _join("AND", parts, empty="TRUE")

    def _at_least(self, events: Events, times: int) -> str:
        if times == 1:
            return self._some(events, "")
        return self._some(events, f"count(*) >= {self.bind(times, 'bigint')}")

    def _last(self, rule: Last) -> str:
        name, where = rule.events.name, rule.events.where
        recent = self._some(Events(name, where, Window(days=rule.days)), "")
        if not rule.longer_ago:
            return recent
        return f"({self._some(rule.events, '')} AND NOT {recent})"

    def _total(self, rule: Total) -> str:
        at_least = f"{CENTS} >= {{}}"
        if rule.order == "at_least":
            having, cents, is_negated = at_least, rule.cents, False
        else:
            having, cents, is_negated = at_least, rule.cents + 1, True
        # Nothing is what those come to who have no such event, and no set of events finds them.
        if cents <= 0:
            having, is_negated = f"{CENTS} < {{}}", not is_negated
        some = self._some(rule.events, having.format(self.bind(cents, "numeric")))
        return f"(NOT {some})" if is_negated else some

    def _some(self, events: Events, having: str) -> str:
        """Write whether a person has such events, all of which together are as `having` says."""
        where = self._where(events)
        if self.ids is None:
            return self._is_in(f"{EVENTS_OF}{where}", having)
        theirs = f"FROM audience_event AS event WHERE event.customer_id = ANY({self.ids}) AND "
        if having:
            return f"(SELECT {having} {theirs}{where})"
        return f"EXISTS (SELECT {theirs}{where})"

    def _is_in(self, query: str, having: str) -> str:
        """Write whether a person is in a set, which is joined.

        As `IN (…)` under an OR, a set too large for the memory of one hash would be gone through
        for every customer.
        """
        grouped = f" GROUP BY {PERSON_OF}" + (f" HAVING {having}" if having else "")
        self.sets.append(query + grouped)
        return f"(set_{len(self.sets) - 1}.id IS NOT NULL)"

    def _where(self, events: Events) -> str:
        window = events.window
        parts = [
            f"event.name = {self.bind(events.name, 'text')}",
            f"event.occurred_at <= {self.now}",
        ]
        if window.days is not None:
            hours = self.bind(24 * window.days, "int")
            parts.append(f"event.occurred_at > {self.now} - make_interval(hours => {hours})")
        if window.since is not None:
            parts.append(f"event.occurred_at >= {self.bind(window.since, 'timestamptz')}")
        if window.until is not None:
            parts.append(f"event.occurred_at < {self.bind(window.until, 'timestamptz')}")
        parts += [self._is_met("event.properties", named) for named in events.where]
        return " AND ".join(parts)

    def _listed(self, audience_id: int) -> str:
        is_on = f"member.audience_id = {self.bind(audience_id, 'bigint')}"
        if self.ids is None:
            return self._is_in(f"{LISTED}{is_on}", "")
        return (
            "EXISTS (SELECT FROM audience_membership AS member"
            f" WHERE {is_on} AND member.customer_id = ANY({self.ids}))"
        )


def _join(word: str, parts: Sequence[str], *, empty: str) -> str:
    return f"({f' {word} '.join(parts)})" if parts else empty
