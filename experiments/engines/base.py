"""What every analytics engine promises."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol


class Engine(Protocol):
    """Runs one analysis statement over events, customers and exposures."""

    def run(self, statement: str, *, experiment_id: int, since: datetime) -> list[tuple[Any, ...]]:
        """Return the statement's rows, in any order unless it asks for one.

        Args:
            statement: One SELECT in PostgreSQL's dialect without parameters. It reads
                `audience_event (customer_id, name, occurred_at, value, properties, received_at)`,
                `audience_customer (id, merged_into_id, attributes)`,
                `experiments_exposure (experiment_id, customer_id, arm_id, exposed_at)` and
                `experiments_prediction (id, customer_id, name, value, predicted_at)`. Of JSON it
                takes top-level values as text, by `->> 'key'`; an order of texts is asked for by
                `COLLATE "C"`. See ADR 0011.
            experiment_id: The experiment whose people it is about: only their customers, and of
                these all events, exposures to experiments that it names and predictions, are sure
                to be there.
            since: It asks for no event that occurred earlier.

        Returns:
            Integers, floats, texts, truth values, aware datetimes, lists of these and None.
        """
        ...


def to_plain(value: Any) -> Any:
    """Turn a database's exact number into an integer where it is written as one, else a float.

    PostgreSQL adds big integers up as such numbers, other engines as integers.
    """
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        is_whole = isinstance(exponent, int) and exponent >= 0
        return int(value) if is_whole else float(value)
    return value


def to_plain_rows(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Do that to every value of every row."""
    return [tuple(map(to_plain, row)) for row in rows]
