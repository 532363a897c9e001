"""Sends through the libraries, does harm meanwhile, and counts what arrived."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.delivery.clients import REPEAT_EVERY, Libraries, Sender, finish
from benchmarks.delivery.fragile import FragileSite
from config.embedded.waiting import Report

LIMIT = 4
LIMITED_SECONDS = 6.0
LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the events.

    Attributes:
        sent: How many different ones were handed to the libraries.
        repeated: How many of them were handed over once more.
        stored: How many events are in the database.
        lost: How many of those sent are not there.
        doubled: How many are there more than once, or were never sent.
        given_up: What the libraries say that they could not deliver.
    """

    sent: int
    repeated: int
    stored: int
    lost: int
    doubled: int
    given_up: tuple[str, ...]


def deliver(events: int, *, directory: Path, libraries: Path, report: Report) -> Delivery:
    """Send so many events in all, and count them when every sender is done.

    Args:
        events: How many; the senders share them evenly.
        directory: Where the servers keep their data.
        libraries: Where the client libraries are, or will be.
        report: Told what happens.
    """
    installed = Libraries(libraries)
    kinds = [(language, gzip) for language in installed.languages for gzip in (False, True)]
    for language in installed.languages:
        installed.install(language)
    with FragileSite(directory, report=report) as site:
        senders = [
            Sender(
                name=f"{language}-{'gzip' if gzip else 'plain'}",
                language=language,
                key=site.make_source(f"{language} {gzip}"),
                host=site.url,
                events=events // len(kinds),
                gzip=gzip,
            )
            for language, gzip in kinds
        ]
        processes = [installed.start(sender) for sender in senders]
        try:
            do_harm(site, sum(sender.events for sender in senders), processes)
            given_up = [failure for process in processes for failure in finish(process)]
        finally:
            for process in processes:
                process.kill()
        return count(senders, site.stored_ids(), given_up)


def do_harm(site: FragileSite, events: int, senders: Sequence["subprocess.Popen[str]"]) -> None:
    """Kill and limit whenever another part of the events has arrived, until nobody sends."""
    acts: list[Callable[[], None]] = [
        site.kill_server,
        site.kill_postgres,
        lambda: limit_for_a_while(site),
        site.kill_postgres,
        site.kill_server,
    ]
    for number, act in enumerate(acts, start=1):
        wanted = events * number // (len(acts) + 1)
        while count_received(site) < wanted:
            if all(sender.poll() is not None for sender in senders):
                return
            time.sleep(LOOK_SECONDS)
        act()


def count_received(site: FragileSite) -> int:
    """Count the messages received so far; none while the database recovers."""
    try:
        return site.count_received()
    except psycopg.OperationalError:
        return 0


def limit_for_a_while(site: FragileSite) -> None:
    """Take a few requests a second, and after some seconds any number again."""
    site.limit(LIMIT)
    time.sleep(LIMITED_SECONDS)
    site.limit(None)


def count(senders: list[Sender], stored: list[str], given_up: list[str]) -> Delivery:
    """Compare what was sent with what is stored."""
    sent = set().union(*(sender.message_ids for sender in senders))
    return Delivery(
        sent=len(sent),
        repeated=sum(-(-sender.events // REPEAT_EVERY) for sender in senders),
        stored=len(stored),
        lost=len(sent - set(stored)),
        doubled=len(stored) - len(set(stored) & sent),
        given_up=tuple(given_up),
    )
