"""Send numbered events by segment-analytics-python; runs in a virtual environment with it alone.

python send.py '{"name": …, "key": …, "host": …, "events": …, "gzip": …, "repeat_every": …}'
"""

import json
import sys
import threading

from segment.analytics.client import Client  # type: ignore[import-not-found] # of its own


def main() -> None:
    """Send, flush, and report on standard output how many the library gave up on."""
    plan = json.loads(sys.argv[1])
    failed: list[str] = []
    lock = threading.Lock()

    def on_error(error: Exception, batch: list[object]) -> None:
        with lock:
            failed.append(f"{len(batch)} events: {error}")

    client = Client(
        plan["key"],
        host=plan["host"],
        gzip=plan["gzip"],
        on_error=on_error,
        max_queue_size=10 * plan["events"],
        thread=2,
        upload_interval=0.1,
    )
    for number in range(plan["events"]):
        # Every so often an application sends the same thing twice.
        for _ in range(2 if number % plan["repeat_every"] == 0 else 1):
            client.track(
                user_id=f"{plan['name']}-{number % 500}",
                event="Delivered",
                properties={"value": number, "sender": plan["name"]},
                message_id=f"{plan['name']}-{number}",
            )
    client.flush()
    client.join()
    print(json.dumps({"failed": failed}))


if __name__ == "__main__":
    main()
