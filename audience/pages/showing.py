"""Shows a rule as the rows that somebody may have typed."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from audience.rules.draft import Row
from audience.rules.grammar import Events, Happened, In, Known, Last, Named, Rule, Total
from audience.typed import to_scalar

Typed = dict[str, str]


def to_typed(row: Row) -> Typed | None:
    """Return what is typed for a row, with its kind; None if no row of the page says it."""
    typed = _read(row.test)
    if typed is not None and row.negated:
        typed["negated"] = "on"
    return typed


def _read(rule: Rule) -> Typed | None:
    match rule:
        case Known(named):
            return {"kind": "attribute", "name": named.path, **_test(named, "")}
        case In(audience):
            return {"kind": "audience", "audience": audience}
        case Happened(events, least, most):
            return _join("event", events, _times(least, most))
        case Last(events, days, longer_ago):
            order = "before_days" if longer_ago else "within_days"
            return _join("last", events, {"order": order, "days": str(days)})
        case Total(events, order, cents):
            return _join("total", events, {"order": order, "amount": f"{cents / 100:.2f}"})
    return None


def _times(least: int, most: int | None) -> Typed | None:
    if most is None:
        return {"order": "at least", "times": str(least)}
    if least == most:
        return {"order": "exactly", "times": str(most)}
    return None if least else {"order": "at most", "times": str(most)}


def _join(kind: str, events: Events, typed: Typed | None) -> Typed | None:
    window = _window(events)
    if typed is None or window is None or len(events.where) > 1:
        return None
    found = {"kind": kind, "name": events.name, **window, **typed}
    for named in events.where:
        found |= {"detail": named.path, **_test(named, "detail_")}
    return found


def _window(events: Events) -> Typed | None:
    window = events.window
    if window.days is not None:
        return None if window.until else {"window": "days", "days": str(window.days)}
    if window.since is None and window.until is None:
        return {"window": "ever"}
    dates = {"since": window.since, "until": window.until}
    if any(moment is not None and not _is_midnight(moment) for moment in dates.values()):
        return None
    return {"window": "dates"} | {
        name: moment.date().isoformat() for name, moment in dates.items() if moment is not None
    }


def _is_midnight(moment: datetime) -> bool:
    return moment.time() == datetime.min.time()


def _test(named: Named, prefix: str) -> Typed:
    test = named.test
    typed = {f"{prefix}test": test.kind}
    if test.kind == "between":
        typed[f"{prefix}value"] = " and ".join(map(_said, test.value))
    elif isinstance(test.value, tuple):
        typed[f"{prefix}value"] = _listed(test.value)
    elif test.value is not None:
        is_read_as_text = test.kind in ("contain", "after", "until")
        typed[f"{prefix}value"] = test.value if is_read_as_text else _said(test.value)
    return typed


def _said(value: Any) -> str:
    if isinstance(value, str):
        # What would be read as a number, say, stands in quotation marks.
        is_plain = to_scalar(value) == value and value.strip() == value and value[:1] != '"'
        return value if is_plain else f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(values: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(map(_said, values))
    return line.getvalue().replace(",", ", ") if '"' not in line.getvalue() else line.getvalue()
