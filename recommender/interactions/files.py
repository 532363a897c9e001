"""Read interactions from files: tables of customer, item and time, or one sequence a line."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import numpy as np

from recommender.interactions.histories import Histories

# How the columns are called in files of several origins, in lower case and without types.
NAMES = {
    "customer": ("user_id", "userid", "user", "customer_id", "customer", "visitorid", "uid",
                 "session_id", "sessionid", "session"),
    "item": ("item_id", "itemid", "item", "product_id", "movie_id", "movieid", "asin", "iid"),
    "time": ("timestamp", "time", "ts", "datetime", "unixreviewtime", "event_time", "eventdate"),
    "event": ("event", "event_type", "behavior", "action"),
}  # fmt: skip
DELIMITERS = ("::", "\t", ",", ";", "|")
# Of files of numbers that begin without names, by how many columns there are (MovieLens).
UNNAMED = {2: "user item", 4: "user item rating timestamp"}
# Times above this are in milliseconds: in seconds it is the year 5138.
MOST_SECONDS = 1e11


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """Histories, with the names of who and what they are about, in the order of their numbers."""

    histories: Histories
    customers: tuple[str, ...]
    items: tuple[str, ...]


def read_table(
    lines: Iterable[str],
    *,
    heading: str | None = None,
    weights: Mapping[str, float] | None = None,
) -> Interactions:
    """Read a table: customer, item, and time or event if there are any.

    Columns are found by their usual names; what follows a colon in a name is taken for a type. A
    file that begins with two or four numbers has no names, and the columns of MovieLens. The
    delimiter is the one that the heading has. Times are numbers of seconds or milliseconds, or ISO
    dates. Rows of the same time stay in their order.

    Args:
        lines: Of the file.
        heading: The names of the columns, for a file that does not begin with them.
        weights: What each kind of event counts; others are left out. All count 1 if None.

    Raises:
        ValueError: There is no column for customers or items, or a row lacks a value.
    """
    rows = iter(lines)
    first = next(rows, "") if heading is None else heading
    head = first.lstrip("\ufeff").strip()
    delimiter = next((each for each in DELIMITERS if each in head), ",")
    names, first_row = head.split(delimiter), 2 if heading is None else 1
    if heading is None and len(names) in UNNAMED and all(map(_is_number, names)):
        rows, names, first_row = chain([head], rows), UNNAMED[len(names)].split(), 1
    places = _places(names)
    who, what, when, kind = places["customer"], places["item"], places["time"], places["event"]
    if who is None or what is None:
        raise ValueError(f"Expected a column for customers and one for items, not {head!r}.")
    found: list[tuple[str, str, float, float]] = []
    for number, row in enumerate(_cells(rows, delimiter), start=first_row):
        if not row:
            continue
        try:
            weight = 1.0
            if weights is not None and kind is not None:
                weight = weights.get(row[kind], 0.0)
            found.append(
                (row[who], row[what], 0.0 if when is None else _seconds(row[when]), weight)
            )
        except (IndexError, ValueError) as error:
            raise ValueError(f"Line {number} cannot be read: {error}.") from error
    return join(row for row in found if row[3] > 0)


def _is_number(text: str) -> bool:
    return text.strip().isdecimal()


def _places(columns: Sequence[str]) -> dict[str, int | None]:
    """Find the column of each meaning."""
    names = [name.strip().partition(":")[0].lower() for name in columns]
    return {
        what: next((names.index(name) for name in known if name in names), None)
        for what, known in NAMES.items()
    }


def _cells(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    if len(delimiter) == 1:
        yield from csv.reader(lines, delimiter=delimiter)
    else:
        yield from (line.strip().split(delimiter) if line.strip() else [] for line in lines)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return number / 1000 if number > MOST_SECONDS else number


def read_sequences(lines: Iterable[str]) -> Interactions:
    """Read lines of a customer and then their items, oldest first, with spaces between."""
    rows = [
        (customer, item, float(place), 1.0)
        for customer, *items in map(str.split, filter(str.strip, lines))
        for place, item in enumerate(items)
    ]
    joined = join(rows)
    histories = joined.histories
    untimed = Histories(
        starts=histories.starts,
        items=histories.items,
        weights=histories.weights,
        times=np.zeros(len(histories.items)),
        n_items=histories.n_items,
    )
    return Interactions(untimed, joined.customers, joined.items)


def join(rows: Iterable[tuple[str, str, float, float]]) -> Interactions:
    """Make histories of rows: customer, item, time in seconds, weight; in any order."""
    every = list(rows)
    customers = tuple(dict.fromkeys(row[0] for row in every))
    items = tuple(sorted({row[1] for row in every}))
    customer_number = {name: number for number, name in enumerate(customers)}
    item_number = {name: number for number, name in enumerate(items)}
    who = np.array([customer_number[row[0]] for row in every], dtype=np.int64)
    what = np.array([item_number[row[1]] for row in every], dtype=np.int64)
    times = np.array([row[2] for row in every], dtype=np.float64)
    weights = np.array([row[3] for row in every], dtype=np.float64)
    order = np.lexsort((times, who))  # stable: rows of one time stay in their order
    counts = np.bincount(who, minlength=len(customers))
    histories = Histories(
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        items=what[order],
        weights=weights[order],
        times=times[order],
        n_items=len(items),
    )
    return Interactions(histories, customers, items)
