"""Sends a campaign while its workers are killed, and counts what came twice and what was lost.

    python -m benchmarks.killing [COUNT] [KILLS]

Two workers send to a mail server (aiosmtpd) that writes down the name of every mail before it says
that it was taken. Every so often one of them is killed (SIGKILL) in the middle and another one
started. In the end each delivery must be settled, every mail that came must have come once, and
whatever came without being known as sent must be listed as in doubt.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import psycopg

from benchmarks.mailing import mail_sink, mailing, make_campaign
from benchmarks.serving import ROOT, services

WORKERS = 2
PATIENCE_SECONDS = 1800.0
UNSETTLED = "SELECT count(*) FROM campaigns_delivery WHERE state IN ('queued', 'leased')"
SENT = "SELECT count(*) FROM campaigns_delivery WHERE state = 'sent'"
NAMES = "SELECT provider_id, state FROM campaigns_delivery"
DECISIONS = "SELECT count(*), count(DISTINCT customer_id) FROM recommender_decision"


def start(environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a worker that does nothing but send."""
    words = [sys.executable, "manage.py", "send"]
    return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def ask(environment: Mapping[str, str], statement: str) -> list[tuple[object, ...]]:
    """Ask the database."""
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        return connection.execute(statement.encode()).fetchall()


def count(environment: Mapping[str, str], statement: str) -> int:
    """Ask the database for a number."""
    return int(str(ask(environment, statement)[0][0]))


def send_and_kill(environment: Mapping[str, str], customers: int, kills: int) -> int:
    """Send everything, killing workers on the way; return how many were killed."""
    rng = random.Random(7)  # noqa: S311
    running = [start(environment) for _ in range(WORKERS)]
    killed, ends = 0, time.monotonic() + PATIENCE_SECONDS
    try:
        while count(environment, UNSETTLED) and time.monotonic() < ends:
            # The kills are spread over what there is to send.
            if killed < kills and count(environment, SENT) > customers * 0.9 * killed / kills:
                time.sleep(rng.uniform(0.0, 0.5))
                victim = running.pop(0)
                os.kill(victim.pid, signal.SIGKILL)
                victim.wait()
                running.append(start(environment))
                killed += 1
            time.sleep(0.2)
    finally:
        for process in running:
            process.terminate()
            process.wait()
    return killed


def main() -> int:
    """Send, kill, and compare both books."""
    customers = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory(prefix="offerlab-killing-") as directory:
        log = Path(directory) / "mails"
        with services() as plain, mail_sink(log) as port:
            environment = mailing(plain, port)
            make_campaign(environment, customers)
            begun = time.monotonic()
            killed = send_and_kill(environment, customers, kills)
            seconds = time.monotonic() - begun
            books = [(str(name), str(state)) for name, state in ask(environment, NAMES)]
            decisions, people = ask(environment, DECISIONS)[0]
        came = Counter(log.read_text().split())
    states = Counter(state for _, state in books)
    by_state = {state: {name for name, s in books if s == state} for state in states}
    sent, doubtful = by_state.get("sent", set()), by_state.get("in_doubt", set())
    twice = sum(times - 1 for times in came.values())
    # A mail that came is known as sent or in doubt; one that is known as sent came.
    unaccounted = len(came.keys() - sent - doubtful) + len(sent - came.keys())
    unaccounted += states["queued"] + states["leased"] + customers - len(books)
    print(f"{customers:,} customers, {killed} workers killed, {seconds:.0f} s: {dict(states)}")
    print(f"came {sum(came.values()):,}: {twice} twice, {unaccounted} unaccounted for")
    arrived = len(doubtful & came.keys())
    print(
        f"in doubt: {len(doubtful)}, of which {arrived} came and {len(doubtful) - arrived} did not"
    )
    print(f"decisions: {decisions} for {people} customers")
    return 1 if twice or unaccounted or killed < kills else 0


if __name__ == "__main__":
    sys.exit(main())
