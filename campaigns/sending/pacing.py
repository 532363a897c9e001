"""How fast a channel's messages leave, all workers together.

One number in the database says until when the channel is spoken for; whoever wants to send moves
it on by what that takes, and waits until its turn has come (the generic cell rate algorithm).
"""

from datetime import datetime, timedelta
from typing import Any, LiteralString

from django.db import connection

# So far behind the clock may be what nobody used: a burst of that many seconds' messages.
BURST = timedelta(milliseconds=250)

TAKE: LiteralString = """
    INSERT INTO campaigns_counter (name, used) VALUES (%(name)s, %(earliest)s + %(takes)s)
    ON CONFLICT (name) DO UPDATE
    SET used = GREATEST(campaigns_counter.used, %(earliest)s) + %(takes)s
    RETURNING used - %(takes)s
"""
MICROSECONDS = 1_000_000


def take_turn(channel: str, count: int, *, per_second: float, now: datetime) -> float:
    """Take the turns of so many messages; return how many seconds to wait for them.

    Args:
        channel: Of which channel.
        count: How many messages.
        per_second: How many may leave in a second; 0 is any number.
        now: The time.
    """
    if per_second <= 0 or count <= 0:
        return 0.0
    clock = int(now.timestamp() * MICROSECONDS)
    params: dict[str, Any] = {
        "name": f"pace:{channel}",
        "earliest": clock - int(BURST.total_seconds() * MICROSECONDS),
        "takes": int(count * MICROSECONDS / per_second),
    }
    with connection.cursor() as cursor:
        cursor.execute(TAKE, params)
        (begins,) = cursor.fetchone()
    return max(0.0, (int(begins) - clock) / MICROSECONDS)
