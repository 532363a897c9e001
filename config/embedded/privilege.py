"""Run PostgreSQL as root's unprivileged stand-in, because it refuses to run as root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from config.embedded.failure import ServerError

_ADVICE = "Run OfferLab as a normal user, or set DATABASE_URL to a PostgreSQL server of your own."


def drop_root(*, cluster: Path) -> list[str]:
    """Return the words to put before a PostgreSQL command; none unless we are root.

    The stand-in keeps one capability, `dac_override`, so that it reaches a data directory and
    binaries below directories that only root may enter. No user is added and no directory's
    mode is changed.

    Args:
        cluster: Its owner, if it exists already, is the stand-in; otherwise `nobody` is.

    Raises:
        ServerError: This machine cannot do it.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServerError(f"PostgreSQL does not run as root, and setpriv is missing. {_ADVICE}")
    uid, gid = _stand_in(cluster)
    return [
        setpriv,
        f"--reuid={uid}",
        f"--regid={gid}",
        "--clear-groups",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
        "--",
    ]


def check_runnable(command: Sequence[str]) -> str:
    """Run a harmless command and return what it says.

    Raises:
        ServerError: It cannot be run, and why.
    """
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise ServerError(f"{command[0]} cannot be run: {error.strerror}. {_ADVICE}") from error
    if done.returncode != 0:
        why = done.stderr.strip() or f"status {done.returncode}"
        raise ServerError(f"PostgreSQL's programs cannot be run here: {why}. {_ADVICE}")
    return done.stdout.strip()


def _stand_in(cluster: Path) -> tuple[int, int]:
    if cluster.exists():
        owner = cluster.stat()
        if owner.st_uid != 0:
            return owner.st_uid, owner.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        # initdb insists on a user that has a name.
        raise ServerError(
            f"PostgreSQL does not run as root, and there is no user nobody. {_ADVICE}"
        ) from error
    return nobody.pw_uid, nobody.pw_gid
