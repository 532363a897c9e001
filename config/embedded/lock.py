"""Let one supervisor at a time use a data directory."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from config.embedded import paths
from config.embedded.failure import ServerError


class DataDirectoryLock:
    """A lock that the kernel gives back when its holder dies, however it dies."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            ServerError: Somebody else holds it, or the directory is not ours to write.
        """
        file = paths.lock_file(self._data_dir)
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ServerError(
                f"The data directory {self._data_dir} cannot be used ({error.strerror}). "
                "Set OFFERLAB_DATA_DIR to a directory of your own."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
            os.close(descriptor)
            raise ServerError(
                f"Another OfferLab (process {holder}) is running on {self._data_dir}. "
                "Stop it, or set OFFERLAB_DATA_DIR to another directory."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
