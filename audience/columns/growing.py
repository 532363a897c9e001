"""An array that rows are added to."""

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


class Growing(Generic[Number]):
    """A one-dimensional array with room for more, so that a row is added in no time."""

    def __init__(self, dtype: type[Number]) -> None:
        """Begin empty."""
        self._room: NDArray[Number] = np.zeros(1024, dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def view(self) -> NDArray[Number]:
        """Return the rows, which may be written to until more are added."""
        return self._room[: self._size]

    def add(self, rows: NDArray[Number]) -> None:
        """Add rows at the end."""
        self.resize(self._size + len(rows))
        if len(rows):
            self._room[self._size - len(rows) : self._size] = rows

    def take(self, places: NDArray[np.intp]) -> None:
        """Let the rows at these places stay, in this order."""
        self._room[: len(places)] = self.view()[places]
        self._size = len(places)

    def resize(self, size: int) -> None:
        """Make room for so many rows; new ones are 0."""
        if size > len(self._room):
            room = np.zeros(max(size, len(self._room) * 5 // 4), self._room.dtype)
            room[: self._size] = self._room[: self._size]
            self._room = room
        self._size = size
