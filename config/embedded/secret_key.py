"""Keep one secret key for a data directory, so that log-ins survive a restart."""

import os
import secrets
from pathlib import Path

from config.embedded import paths


def keep_secret_key(data_dir: Path) -> str:
    """Return the directory's key; the first call makes one that only its owner can read.

    Call it while the directory is locked, so that nobody else makes one at the same time.
    """
    file = paths.secret_key(data_dir)
    if file.exists() and (key := file.read_text().strip()):
        return key
    key = secrets.token_urlsafe(64)
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as writing:
        writing.write(f"{key}\n")
    unfinished.replace(file)
    return key
