"""Send events through unmodified client libraries to a site that is killed meanwhile, and count.

    python -m benchmarks.delivery
    python -m benchmarks.delivery --events 2000

Four senders at once: Segment's Python and Node libraries, each with gzip and without, and each
sending one event in forty twice under the same id. Meanwhile the server and PostgreSQL are killed
(kill -9), twice each, and for some seconds each key may send only a few requests a second. The bar:
no event is lost, and none is stored twice. The libraries are fetched once, from PyPI and npm.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.clients import INSTALLED
from benchmarks.delivery.delivery import deliver


def main() -> None:
    """Run it, and end with an error where the bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delivery")
    parser.add_argument("--events", type=int, default=100_000, help="how many to send in all")
    options = parser.parse_args()
    # Whoever ends it early must not leave servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("It was ended early."))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="offerlab-bench-") as directory:
        delivery = deliver(
            options.events,
            directory=Path(directory),
            libraries=INSTALLED,
            report=lambda message: print(f"{time.monotonic() - begun:6.1f} s  {message}"),
        )
    for failure in delivery.given_up:
        print(f"given up on: {failure}")
    print(
        f"sent {delivery.sent:,}   repeated on purpose {delivery.repeated:,}   "
        f"stored {delivery.stored:,}   lost {delivery.lost:,}   doubled {delivery.doubled:,}"
    )
    if delivery.lost or delivery.doubled:
        raise SystemExit("Events were lost or doubled.")


if __name__ == "__main__":
    main()
