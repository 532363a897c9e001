"""Keeps hits in files until they are recorded, so that no process that is killed takes them along.

A line is handed to the operating system, which writes it when it likes: nobody who follows a link
waits for a disk. So what a machine that loses its power had not written yet is lost, some seconds'.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import msgspec

from campaigns.deciding.spool import SUFFIX, begin_file, locked
from campaigns.tracking.machines import Hit

logger = logging.getLogger(__name__)

# Then another file is begun, so that those whose hits are all recorded can go.
LARGEST = 1000
OLDEST = timedelta(seconds=30)


class Line(msgspec.Struct, frozen=True):
    """A request for a link or the picture of a message."""

    delivery_id: int
    hit: Hit
    target: str


@dataclass(slots=True)
class Part:
    """A file that this process holds, and how many of its hits are not recorded yet."""

    path: Path
    file: IO[bytes]
    begun_at: datetime
    left: int = 0


class KeptHits:
    """The files of one process, and those that processes left that ended."""

    def __init__(self, directory: Path) -> None:
        """Keep the files in this directory, which is made when first needed."""
        self._directory = directory
        # The one that is written to, and all whose hits are not recorded.
        self._part: Part | None = None
        self._held: dict[Path, Part] = {}
        self._is_failing = False

    def keep(self, line: Line) -> Part | None:
        """Write a hit down; return where, or None if it is in memory alone."""
        try:
            part = self._find_part(line.hit.at)
            part.file.write(msgspec.json.encode(line) + b"\n")
            part.file.flush()
        except OSError:
            if not self._is_failing:
                logger.exception("Clicks cannot be written down, and are kept in memory alone")
            self._is_failing = True
            return None
        self._is_failing = False
        part.left += 1
        return part

    def release(self, part: Part) -> None:
        """Say that one of the hits of a part is recorded; with its last one the file goes."""
        part.left -= 1
        if part.left == 0 and part is not self._part:
            self._remove(part)

    def rest(self, now: datetime) -> None:
        """Let a file go that is held for long enough, if all of it is recorded."""
        part = self._part
        if part is not None and now - part.begun_at > OLDEST:
            self._part = None
            if part.left == 0:
                self._remove(part)

    def take_over(self, now: datetime) -> Sequence[tuple[Line, Part]]:
        """Return the hits of processes that ended, whose files are held from now on."""
        taken: list[tuple[Line, Part]] = []
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            if path in self._held:
                continue
            try:
                file = path.open("rb")
            except FileNotFoundError:
                # Whoever held it recorded all of it.
                continue
            if not locked(file):
                file.close()
                continue
            lines = _read(file, path)
            part = self._held[path] = Part(path, file, begun_at=now, left=len(lines))
            taken += [(line, part) for line in lines]
            if not lines:
                self._remove(part)
        return taken

    def close(self) -> None:
        """Let go of all files; what they hold is for whoever comes next."""
        self._part = None
        for part in self._held.values():
            part.file.close()
        self._held.clear()

    def _remove(self, part: Part) -> None:
        part.path.unlink(missing_ok=True)
        part.file.close()
        self._held.pop(part.path, None)

    def _find_part(self, now: datetime) -> Part:
        if self._part is not None and self._part.left >= LARGEST:
            self._part = None
        if self._part is None:
            path, file = begin_file(self._directory)
            self._part = self._held[path] = Part(path, file, begun_at=now)
        return self._part


def _read(file: IO[bytes], path: Path) -> Sequence[Line]:
    lines = []
    for written in file:
        try:
            lines.append(msgspec.json.decode(written, type=Line))
        except msgspec.DecodeError:
            # A process ended while it wrote.
            logger.warning("A line of %s cannot be read, and is left out", path.name)
    return lines
