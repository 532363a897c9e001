"""Counts what is given out and spent, on top of what was before."""

from collections.abc import Iterable, Mapping


class Tally:
    """The counters of one transaction: what they were, and what this transaction adds.

    The rows are locked while it lasts, so nobody else counts meanwhile.
    """

    def __init__(self, used: Mapping[str, int] | None) -> None:
        """Go on from these; None where what was used is not known."""
        self._before = used
        self.added: dict[str, int] = {}

    @property
    def is_known(self) -> bool:
        """Whether what was used before is known."""
        return self._before is not None

    def used(self, name: str) -> int:
        """Return how much is used up by now."""
        before = 0 if self._before is None else self._before.get(name, 0)
        return before + self.added.get(name, 0)

    def used_by(self, names: Iterable[str]) -> int:
        """Return how much is used up of several together."""
        return sum(self.used(name) for name in names)

    def add(self, name: str, amount: int) -> None:
        """Use up some more."""
        self.added[name] = self.added.get(name, 0) + amount
