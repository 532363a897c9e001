"""Remembers the customers who asked lately, for the time when the database cannot be asked."""

from collections import OrderedDict
from collections.abc import Collection, Iterable

from audience.customers.finding import Name
from campaigns.deciding.recall import Known

MOST = 5_000
LONGEST_TEXT = 255


class Memory:
    """What this process last knew of some thousand customers, the latest ones.

    It is no cache: while the database answers, that is asked. It keeps what the policies look at,
    and arms and offers, so that hardly anybody's arm or offer changes because a database restarts.
    """

    def __init__(self, most: int = MOST) -> None:
        """Keep so many."""
        self._most = most
        self._known: OrderedDict[str, Known] = OrderedDict()

    def keep(self, pairs: Iterable[tuple[Name, Known]], *, attributes: Collection[str]) -> None:
        """Remember customers, and of their attributes these."""
        for name, customer in pairs:
            kept = {
                key: value
                for key, value in customer.attributes.items()
                if key in attributes
                and (
                    isinstance(value, bool | int | float)
                    or (isinstance(value, str) and len(value) <= LONGEST_TEXT)
                )
            }
            self._known[name.key] = Known(
                customer.id,
                customer.key,
                kept,
                customer.arms,
                customer.held,
                met_as=customer.met_as,
            )
            self._known.move_to_end(name.key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def recall(self, name: Name) -> Known:
        """Return what is remembered of a customer, which may be no more than the name."""
        known = self._known.get(name.key)
        if known is None:
            known = self._known[name.key] = Known(None, name.key)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return known
