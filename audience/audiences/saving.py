"""Keeps audiences: saves their rules, says what they mean by now, and who their members are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from audience.customers.finding import PERSON
from audience.models import Audience, AudienceKind
from audience.rules.grammar import Listed, NoRule, Rule, parse_rule, to_json
from audience.rules.nesting import Find, find_names, inline
from audience.rules.sql import holds_for, members_of
from wire.notices import announce_change

# Any numbers: they tell these locks from others.
SAVING = 0x0FFE21AE
REFRESHING = 0x0FFE21AF
# What a worker is woken up by.
REFRESH_TASK = "audience.refresh_audiences"

# Two at once could make each other's rule one that names itself.
TAKE_TURNS = "SELECT pg_advisory_xact_lock(%s)"
CLAIM = "SELECT pg_try_advisory_xact_lock(%s, %s)"

HOLDING = """
    SELECT customer.id FROM audience_customer AS customer {person}
    WHERE customer.id = ANY(%(ids)s) AND {rule}
"""
# The members of now, once, so that both statements see the same.
FIND = "CREATE TEMP TABLE found_member ON COMMIT DROP AS {members}"
ADD = """
    INSERT INTO audience_membership (audience_id, customer_id)
    SELECT %(audience)s, id FROM found_member
    ON CONFLICT DO NOTHING
"""
REMOVE = """
    DELETE FROM audience_membership AS member
    WHERE audience_id = %(audience)s
      AND NOT EXISTS (SELECT FROM found_member WHERE id = member.customer_id)
"""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a look at an audience found: its size, who came and who went."""

    size: int
    added: int
    removed: int


def take_turns() -> None:
    """Keep others from saving or deleting any audience until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_TURNS, [SAVING])


def save_rule(audience: Audience, given: Any) -> Audience:
    """Give an audience a rule, and a new version if it is another one than before.

    Raises:
        ValidationError: It is no rule, or the audience would be defined by itself.
    """
    if audience.kind != AudienceKind.RULE:
        raise ValidationError("The members of a list are uploaded; it has no rule.")
    with transaction.atomic():
        take_turns()
        try:
            rule = parse_rule(given)
            inline(rule, find_rules(), own_key=audience.key)
        except NoRule as error:
            raise ValidationError(str(error)) from error
        written = to_json(rule)
        if audience.pk is None:
            audience.rule = written
            audience.save()
            return audience
        # Sizes and members of the rule before say nothing of this one.
        Audience.objects.filter(~Q(rule=written), pk=audience.pk).update(
            rule=written, version=F("version") + 1, counted_at=None, size=None
        )
        audience.save(update_fields=["name", "description"])
        # Whoever decides holds rules in memory, perhaps one that names this audience.
        announce_change()
    audience.refresh_from_db()
    return audience


def delete_audience(audience: Audience) -> None:
    """Delete an audience that nothing uses.

    Raises:
        ValidationError: Another audience's rule names it.
        ProtectedError: A campaign uses it.
    """
    with transaction.atomic():
        take_turns()
        users = [
            other.name
            for other in Audience.objects.exclude(pk=audience.pk)
            if audience.key in names_in(other.rule)
        ]
        if users:
            raise ValidationError(f"The rule of {users[0]} names it; change that one first.")
        audience.delete()


def names_in(rule: Any) -> frozenset[str]:
    """Return the keys of the audiences that a written rule names itself."""
    try:
        return frozenset(find_names(parse_rule(rule))) if rule else frozenset()
    except NoRule:
        # Nobody can ask what it means, so it names nobody either.
        return frozenset()


def find_dependents(audience: Audience) -> set[str]:
    """Return the keys of the audiences that mean others if this one does, itself among them."""
    named = {each.key: names_in(each.rule) for each in Audience.objects.all()}
    found, newest = {audience.key}, {audience.key}
    while newest:
        newest = {key for key, names in named.items() if names & newest} - found
        found |= newest
    return found


def say_version(audience: Audience) -> str:
    """Say which version of an audience there is, and of those that its rule names."""
    known = {each.key: each for each in Audience.objects.all()}
    said, parts = [f"{audience}, version {audience.version}"], [audience.key]
    for key in parts:
        new = names_in(known[key].rule) & known.keys() - set(parts)
        parts += sorted(new)
        said += [f"{known[name]}, version {known[name].version}" for name in sorted(new)]
    return "; of ".join(said)


def find_rules() -> Find:
    """Return what tells an audience's rule by its key, as of now; a list's is to be on it."""
    return finder(Audience.objects.values_list("key", "pk", "kind", "rule"))


def finder(rows: Iterable[tuple[str, int, str, Any]]) -> Find:
    """Return what tells an audience's rule by its key, from key, id, kind and rule of each."""
    known = {key: (pk, kind, rule) for key, pk, kind, rule in rows}

    def find(key: str) -> Rule | None:
        if key not in known:
            return None
        pk, kind, rule = known[key]
        return Listed(pk) if kind == AudienceKind.LIST else parse_rule(rule)

    return find


def find_rule(audience: Audience) -> Rule:
    """Return the rule of an audience with others' in the place of their names.

    This is what `audience.rules.sql.holds_for` and `members_of` take.
    """
    if audience.kind == AudienceKind.LIST:
        return Listed(audience.pk)
    return inline(parse_rule(audience.rule), find_rules(), own_key=audience.key)


def find_due(*, older_than: timedelta) -> QuerySet[Audience]:
    """Find the audiences that were not looked at for so long, those never looked at first."""
    is_old = Q(counted_at=None) | Q(counted_at__lt=Now() - older_than)
    return Audience.objects.filter(is_old).order_by(F("counted_at").asc(nulls_first=True), "pk")


def refresh_members(audience_id: int, *, older_than: timedelta = timedelta(0)) -> Refreshed | None:
    """Look up who belongs to an audience and write down who came and who went.

    Returns None if it was looked at meanwhile, or somebody else is at it.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM, [REFRESHING, audience_id])
        if not cursor.fetchone()[0]:
            return None
        audience = find_due(older_than=older_than).filter(pk=audience_id).first()
        if audience is None:
            return None
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
        found = _refresh(audience, now=now)
        # Of a rule that was changed meanwhile this is not the size.
        Audience.objects.filter(pk=audience_id, version=audience.version).update(
            size=found.size, counted_at=now
        )
    return found


def _refresh(audience: Audience, *, now: datetime) -> Refreshed:
    members = members_of(find_rule(audience), now=now)
    named = {"audience": audience.pk}
    with connection.cursor() as cursor:
        cursor.execute(FIND.format(members=members.sql), members.params)
        size = cursor.rowcount
        added = removed = 0
        # A list's rows are what was uploaded, whoever they turned out to be.
        if audience.kind == AudienceKind.RULE:
            cursor.execute("ANALYZE found_member")
            cursor.execute(ADD, named)
            added = cursor.rowcount
            cursor.execute(REMOVE, named)
            removed = cursor.rowcount
        cursor.execute("DROP TABLE found_member")
    return Refreshed(size=size, added=added, removed=removed)


def find_holding(rule: Rule, person_ids: Sequence[int], *, now: datetime) -> set[int]:
    """Find for whom of a few people a rule holds now.

    Args:
        rule: Without names of audiences (see `nesting.py`).
        person_ids: Of customers who are nobody else's other name.
        now: The time.
    """
    holds = holds_for(rule, now="%(moment)s::timestamptz")
    statement = HOLDING.format(person=PERSON, rule=holds.sql)
    with connection.cursor() as cursor:
        cursor.execute(statement, {**holds.params, "ids": list(person_ids), "moment": now})
        return {id_ for (id_,) in cursor.fetchall()}


def count_members(rule: Rule, *, now: datetime) -> int:
    """Count by SQL alone for how many a rule holds; `counting.py` is the quick way."""
    members = members_of(rule, now=now, columns="count(*)")
    with connection.cursor() as cursor:
        cursor.execute(members.sql, members.params)
        (count,) = cursor.fetchone()
    return int(count)
