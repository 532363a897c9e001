"""Fills lists: audiences of customers whom somebody names in a file, and writes such files."""

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import F

from audience.audiences.saving import refresh_members
from audience.csv_cells import write_lines
from audience.cursors import read_on_server
from audience.importing.copying import copy_rows
from audience.incoming import KEY_LENGTH
from audience.models import Audience, AudienceKind

# What the column of customers may be called.
COLUMNS = ("customer", "key", "external_key", "email", "e-mail")
MOST_EXAMPLES = 20

MAKE_TABLE = "CREATE TEMP TABLE named_member (line bigint, value text) ON COMMIT DROP"
DROP_TABLE = "DROP TABLE IF EXISTS pg_temp.named_member"
# By the key; else by the address, whatever the case of its letters. Whoever turned out to be
# another is that other.
MATCH = """
    CREATE TEMP TABLE matched_member ON COMMIT DROP AS
    WITH named AS (SELECT value, min(line) AS line FROM named_member GROUP BY value),
    by_key AS (
        SELECT named.value, COALESCE(customer.merged_into_id, customer.id) AS id
        FROM named JOIN audience_customer AS customer ON customer.external_key = named.value),
    addressed AS (
        SELECT named.value, lower(named.value) AS address FROM named
        WHERE named.value LIKE '%@%'
          AND NOT EXISTS (SELECT FROM by_key WHERE by_key.value = named.value)),
    by_address AS (
        SELECT addressed.value, COALESCE(customer.merged_into_id, customer.id) AS id
        FROM addressed
        JOIN audience_customer AS customer ON lower(customer.attributes ->> 'email') = address
        UNION ALL
        SELECT addressed.value, COALESCE(customer.merged_into_id, customer.id)
        FROM addressed
        JOIN audience_identity AS identity
          ON identity.kind = 'email' AND lower(identity.value) = address
        JOIN audience_customer AS customer ON customer.id = identity.customer_id)
    SELECT named.value, named.line, found.id
    FROM named LEFT JOIN (TABLE by_key UNION ALL TABLE by_address) AS found USING (value)
"""
ADD = """
    INSERT INTO audience_membership (audience_id, customer_id)
    SELECT DISTINCT %s::bigint, id FROM matched_member WHERE id IS NOT NULL
    ON CONFLICT DO NOTHING
"""
REMOVE_OTHERS = """
    DELETE FROM audience_membership AS member
    WHERE audience_id = %s
      AND NOT EXISTS (SELECT FROM matched_member WHERE id = member.customer_id)
"""
KNOWN = "SELECT count(DISTINCT id), count(DISTINCT value) FROM matched_member"
UNKNOWN = """
    SELECT count(*) OVER (), line, value FROM matched_member WHERE id IS NULL
    ORDER BY line LIMIT %s
"""
MEMBERS = """
    SELECT customer.external_key, customer.attributes ->> 'email', member.since
    FROM audience_membership AS member
    JOIN audience_customer AS customer ON customer.id = member.customer_id
    WHERE member.audience_id = %s
    ORDER BY customer.id
"""


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of a file.

    Attributes:
        values: How many different keys and addresses it names.
        known: How many people these are.
        added: How many of them were not on the list.
        unknown: How many keys and addresses nobody has.
        examples: The first of these, each with its line.
    """

    values: int
    known: int
    added: int
    unknown: int
    examples: list[tuple[int, str]]


def fill_list(audience: Audience, values: Iterable[tuple[int, str]], *, replace: bool) -> Filled:
    """Put the customers of keys or e-mail addresses on a list, all of them or none.

    Args:
        audience: A list.
        values: Each with its line.
        replace: Whether those who are on the list and not named now leave it.
    """
    if audience.kind != AudienceKind.LIST:
        raise ValueError(f"{audience.key} is no list but has a rule.")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(DROP_TABLE)
            cursor.execute(MAKE_TABLE)
        # What is longer is nobody's key.
        copy_rows(
            "named_member",
            ["line", "value"],
            ((line, value[: KEY_LENGTH + 1]) for line, value in values if "\0" not in value),
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE named_member")
            cursor.execute(MATCH)
            cursor.execute("ANALYZE matched_member")
            if replace:
                cursor.execute(REMOVE_OTHERS, [audience.pk])
            cursor.execute(ADD, [audience.pk])
            added = cursor.rowcount
            cursor.execute(KNOWN)
            known, named = cursor.fetchone()
            cursor.execute(UNKNOWN, [MOST_EXAMPLES])
            unknown = cursor.fetchall()
            cursor.execute("DROP TABLE matched_member")
            cursor.execute(DROP_TABLE)
        # Whoever keeps a copy of the list sees by this that it changed.
        Audience.objects.filter(pk=audience.pk).update(version=F("version") + 1, counted_at=None)
    refresh_members(audience.pk)
    return Filled(
        values=named,
        known=known,
        added=added,
        unknown=unknown[0][0] if unknown else 0,
        examples=[(line, value) for _, line, value in unknown],
    )


def write_members(audience: Audience) -> Generator[str, None, None]:
    """Write the stored members as lines of CSV, which no spreadsheet takes for formulas.

    They are read in one transaction, which ends with the last line, or when this is closed.
    """
    yield from write_lines([("customer", "email", "since")])
    with transaction.atomic(), closing(read_on_server(MEMBERS, [audience.pk])) as rows:
        yield from write_lines((key, email, since.isoformat()) for key, email, since in rows)
