"""Brings a site from another version to this one while it decides, and counts what was lost.

    python -m benchmarks.upgrading
    python -m benchmarks.upgrading --since REVISION

A real site runs in a working tree of its own at that revision, by itself the last one before the
newest migration, and decides for new customers at a steady rate. Meanwhile its files become those
of the commit at hand, the database is migrated and the server told to begin anew, as
docs/operating.md has it. Every decision that a client was told of must be in the database once, no
event that was acknowledged may be missing, and nobody who asks for an offer may be answered a
server error or cut off.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.delivery.fragile import RESPAWN_SECONDS, FragileSite
from benchmarks.outage import Told, keep_deciding, tracking, wait_for
from benchmarks.serving import ROOT

REST_SECONDS = 5


def git(*words: str, directory: Path = ROOT) -> str:
    """Run git, and return what it printed."""
    done = subprocess.run(
        ["git", *words],  # noqa: S607 - whoever has a working tree has git
        cwd=directory, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def find_last() -> str:
    """Find the last revision that has not all migrations."""
    newest = git("log", "-1", "--format=%H", "--diff-filter=A", "--", "*/migrations/0*.py")
    return f"{newest}~1"


@contextmanager
def working_tree(revision: str) -> Iterator[Path]:
    """Check a revision out, and clear it away after the block."""
    with tempfile.TemporaryDirectory(prefix="offerlab-upgrading-") as directory:
        tree = Path(directory, "tree")
        git("worktree", "add", "--detach", str(tree), revision)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def set_up(site: FragileSite, tree: Path) -> str:
    """Start a campaign as that revision's own benchmark does, and return an API key."""
    its_own = subprocess.run(
        [sys.executable, "-c", "from benchmarks.outage import SETUP; print(SETUP)"],
        cwd=tree, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    return site.manage("shell", "-v", "0", "-c", its_own).split("KEY=")[1].strip()


def upgrade(site: FragileSite, tree: Path) -> None:
    """Do what whoever runs a site does."""
    print("The files become those of the newer version")
    git("checkout", "--quiet", git("rev-parse", "HEAD"), directory=tree)
    time.sleep(REST_SECONDS)
    print("The database is migrated")
    site.manage("migrate", "-v", "0")
    time.sleep(REST_SECONDS)
    print("The server begins anew")
    site.reload_server()
    time.sleep(RESPAWN_SECONDS + REST_SECONDS)


def main() -> int:
    """Upgrade once, and count."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upgrading")
    parser.add_argument("--since", help="the revision to come from")
    revision = parser.parse_args().since or find_last()
    print(f"From {git('log', '-1', '--format=%h %s', revision)}")
    print(f"to {git('log', '-1', '--format=%h %s')}")
    with (
        working_tree(revision) as tree,
        tempfile.TemporaryDirectory(prefix="offerlab-upgrading-") as directory,
        FragileSite(Path(directory), report=print, root=tree) as site,
    ):
        key = set_up(site, tree)
        told, is_over = Told(), threading.Event()
        deciding = threading.Thread(target=keep_deciding, args=(site.url, key, told, is_over))
        deciding.start()
        try:
            with tracking(site, key) as said:
                time.sleep(REST_SECONDS)
                upgrade(site, tree)
        finally:
            is_over.set()
            deciding.join()
        logged = wait_for(site, set(told.ids))
        events = len(site.stored_ids())
    lost, doubled = set(told.ids) - set(logged), len(logged) - len(set(logged))
    errors = {status: n for status, n in told.statuses.items() if status >= 500}
    print(f"answered: {dict(told.statuses)}; connections that were cut: {told.unanswered}")
    print(f"told {len(told.ids)}, logged {len(logged)}, lost {len(lost)}, doubled {doubled}")
    print(f"POST /v1/track: {dict(said)}; events stored: {events}")
    is_fine = not (lost or doubled or errors or told.unanswered)
    return 0 if is_fine and events >= said["200"] else 1


if __name__ == "__main__":
    sys.exit(main())
