"""Says until when all that was received can be seen."""

from datetime import datetime, timedelta

from django.db import connection

# What is stored says when its transaction began. Transactions that still run are looked up among
# the sessions; the lag covers the instant between taking the time and showing up there, and a clock
# that is set back a little.
LAG = timedelta(minutes=1)

# Prepared transactions do not say when they began.
CLOSED = """
    SELECT least(clock_timestamp() - make_interval(secs => %s), min(xact_start))
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend'
    HAVING NOT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())
"""


def find_closed(*, lag: timedelta = LAG) -> datetime | None:
    """Find a time before which nothing can be received any more, if there is one.

    Ask for it first, and read then: whoever ends meanwhile is seen by the next query. Everybody who
    writes must be visible to this session: of the same database role, or this one a member of
    `pg_read_all_stats`.
    """
    with connection.cursor() as cursor:
        # The list of sessions is frozen when a transaction first looks at it.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(CLOSED, [lag.total_seconds()])
        row = cursor.fetchone()
    return row[0] if row else None
