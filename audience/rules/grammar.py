"""What a rule is made of, as read from JSON and written to it.

A rule is a group, `{"all": […]}`, `{"any": […]}` or `{"not": …}`, or one of these tests:

    {"attribute": "country", "is": "one of", "value": ["DE", "FR"]}
    {"event": "Order Completed", "at_least": 2, "days": 30,
     "where": [{"property": "category", "is": "equal", "value": "shoes"}]}
    {"last": "Order Completed", "within_days": 90}
    {"total": "Order Completed", "at_least": 100, "from": "2026-01-01T00:00:00+00:00"}
    {"audience": "loyal-customers"}

How often an event happened is counted, its last time and its total value taken, in a window: the
last `days`, `from` a time, `until` a time, or ever.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from audience.rules.values import KINDS, Test, to_moment

DEEPEST = 6
MOST_TESTS = 100
MOST_PROPERTIES = 10
LONGEST_NAME = 255
MOST_TIMES = 1_000_000
MOST_DAYS = 36_500
LARGEST_TOTAL = 1e12
# PostgreSQL stores neither NUL nor half of a surrogate pair.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
ORDERS = ("at_least", "at_most")


@dataclass(frozen=True, slots=True)
class Window:
    """When events count: what is None is open."""

    days: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A value by its name, and what it has to be like: `address.city` leads into objects."""

    path: str
    test: Test


@dataclass(frozen=True, slots=True)
class Events:
    """Events of one name, with these properties, in a window."""

    name: str
    where: tuple[Named, ...] = ()
    window: Window = Window()


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; without parts it is everybody."""

    parts: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds; without parts it is nobody."""

    parts: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Rule"


@dataclass(frozen=True, slots=True)
class Known:
    """An attribute of the person is like that; predicted scores are attributes of `scores`."""

    named: Named


@dataclass(frozen=True, slots=True)
class Happened:
    """How often events happened: from `least` times to `most` times, both included."""

    events: Events
    least: int
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Last:
    """The last of these events was within so many days, or longer ago."""

    events: Events
    days: int
    longer_ago: bool = False


@dataclass(frozen=True, slots=True)
class Total:
    """The events' values, each to the cent, come to an amount: at least, or at most, that."""

    events: Events
    order: str
    cents: int


@dataclass(frozen=True, slots=True)
class In:
    """The person belongs to another audience."""

    audience: str


@dataclass(frozen=True, slots=True)
class Listed:
    """The person, by any name, is a row of a list; what `In` becomes of an audience by list."""

    audience_id: int


Rule = All | Some | Not | Known | Happened | Last | Total | In | Listed

EVERYBODY = All(())


class NoRule(ValueError):
    """What was read is no rule, and why, in a sentence for whoever wrote it."""


def parse_rule(given: Any) -> Rule:
    """Read a rule from JSON; an empty object is everybody.

    Raises:
        NoRule: In a sentence that says where.
    """
    if given == {}:
        return EVERYBODY
    return _Reader().rule(given, "The rule", depth=1)


def to_json(rule: Rule) -> dict[str, Any]:
    """Write a rule as `parse_rule` reads it."""
    match rule:
        case All(parts):
            return {"all": [to_json(part) for part in parts]}
        case Some(parts):
            return {"any": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
    return _write_test(rule)


def _write_test(rule: Known | Happened | Last | Total | In | Listed) -> dict[str, Any]:
    match rule:
        case Known(named):
            return {"attribute": named.path, **named.test.to_json()}
        case Happened(events, least, most):
            bounds = {"at_least": least} if least or most is None else {}
            return _events("event", events) | bounds | ({} if most is None else {"at_most": most})
        case Last(events, days, longer_ago):
            return _events("last", events) | {"before_days" if longer_ago else "within_days": days}
        case Total(events, order, cents):
            return _events("total", events) | {order: cents / 100}
        case In(audience):
            return {"audience": audience}
    raise ValueError(f"{rule!r} is made of another rule and is not written.")


def _events(kind: str, events: Events) -> dict[str, Any]:
    written: dict[str, Any] = {kind: events.name}
    if events.where:
        written["where"] = [{"property": n.path, **n.test.to_json()} for n in events.where]
    window = events.window
    if window.days is not None:
        written["days"] = window.days
    if window.since is not None:
        written["from"] = window.since.isoformat()
    if window.until is not None:
        written["until"] = window.until.isoformat()
    return written


_WINDOW = frozenset({"where", "days", "from", "until"})


class _Reader:
    """Reads one rule, and counts its tests."""

    def __init__(self) -> None:
        self.tests = 0

    def rule(self, given: Any, path: str, *, depth: int) -> Rule:
        if depth > DEEPEST:
            raise NoRule(f"The rule is nested more than {DEEPEST} levels deep.")
        if not isinstance(given, Mapping):
            raise NoRule(f"{path} should be an object.")
        for key, group in (("all", All), ("any", Some)):
            if key in given:
                _only(given, {key}, path)
                parts = _list(given[key], f"{path}, {key}", most=MOST_TESTS)
                return group(tuple(self._parts(parts, path, depth=depth + 1)))
        if "not" in given:
            _only(given, {"not"}, path)
            return Not(self.rule(given["not"], f"{path}, not", depth=depth + 1))
        self.tests += 1
        if self.tests > MOST_TESTS:
            raise NoRule(f"The rule has more than {MOST_TESTS} conditions.")
        return self._test(given, path)

    def _parts(self, parts: Sequence[Any], path: str, *, depth: int) -> list[Rule]:
        return [
            self.rule(part, f"{path}, part {number}", depth=depth)
            for number, part in enumerate(parts, 1)
        ]

    def _test(self, given: Mapping[str, Any], path: str) -> Rule:
        for key, read in _TESTS.items():
            if key in given:
                return read(given, path)
        raise NoRule(f"{path} is neither a group nor a condition.")


def _known(given: Mapping[str, Any], path: str) -> Rule:
    return Known(_named(given, "attribute", path))


def _happened(given: Mapping[str, Any], path: str) -> Rule:
    _only(given, {"event", *ORDERS, *_WINDOW}, path)
    if not any(order in given for order in ORDERS):
        raise NoRule(f"{path} should say `at_least` or `at_most` how many times.")
    least = _whole(given.get("at_least", 0), f"{path}, at_least", most=MOST_TIMES)
    most = given.get("at_most")
    if most is not None:
        most = _whole(most, f"{path}, at_most", most=MOST_TIMES)
        if most < least:
            raise NoRule(f"{path} asks for at least {least} times and at most {most}.")
    return Happened(_read_events(given, "event", path), least, most)


def _last(given: Mapping[str, Any], path: str) -> Rule:
    _only(given, {"last", "where", "within_days", "before_days"}, path)
    if ("within_days" in given) == ("before_days" in given):
        raise NoRule(f"{path} should say either `within_days` or `before_days`.")
    key = "within_days" if "within_days" in given else "before_days"
    days = _whole(given[key], f"{path}, {key}", most=MOST_DAYS)
    return Last(_read_events(given, "last", path), days, longer_ago=key == "before_days")


def _total(given: Mapping[str, Any], path: str) -> Rule:
    _only(given, {"total", *ORDERS, *_WINDOW}, path)
    orders = [order for order in ORDERS if order in given]
    if len(orders) != 1:
        raise NoRule(f"{path} should say either `at_least` or `at_most` how much.")
    amount = given[orders[0]]
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise NoRule(f"{path}, {orders[0]} should be an amount.")
    if not abs(amount) < LARGEST_TOTAL:
        raise NoRule(f"{path}, {orders[0]} is too large.")
    return Total(_read_events(given, "total", path), orders[0], round(amount * 100))


def _in(given: Mapping[str, Any], path: str) -> Rule:
    _only(given, {"audience"}, path)
    return In(_name(given["audience"], f"{path}, audience"))


_TESTS = {
    "attribute": _known,
    "event": _happened,
    "last": _last,
    "total": _total,
    "audience": _in,
}


def _read_events(given: Mapping[str, Any], key: str, path: str) -> Events:
    where = _list(given.get("where", []), f"{path}, where", most=MOST_PROPERTIES)
    return Events(
        _name(given[key], f"{path}, {key}"),
        tuple(
            _named(each, "property", f"{path}, property {number}")
            for number, each in enumerate(where, 1)
        ),
        _window(given, path),
    )


def _window(given: Mapping[str, Any], path: str) -> Window:
    days = given.get("days")
    if days is not None:
        days = _whole(days, f"{path}, days", most=MOST_DAYS, least=1)
        if "from" in given:
            raise NoRule(f"{path} should say either `days` or `from`.")
    since, until = (_moment(given.get(key), f"{path}, {key}") for key in ("from", "until"))
    if since is not None and until is not None and since >= until:
        raise NoRule(f"{path} should begin before it ends.")
    return Window(days, since, until)


def _named(given: Any, key: str, path: str) -> Named:
    if not isinstance(given, Mapping) or key not in given:
        raise NoRule(f"{path} should name {'an' if key == 'attribute' else 'a'} {key}.")
    _only(given, {key, "is", "value"}, path)
    kind = given.get("is")
    if not isinstance(kind, str) or kind not in KINDS:
        raise NoRule(f"{path}, is, should be one of: {', '.join(KINDS)}.")
    value = given.get("value")
    why = KINDS[kind].why_not(value)
    if why is not None:
        raise NoRule(f"{path}, {kind}: {why}")
    if isinstance(value, list):
        value = tuple(value)
    return Named(_name(given[key], f"{path}, {key}"), Test(kind, value))


def _name(given: Any, path: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise NoRule(f"{path} should be a name.")
    if len(given) > LONGEST_NAME or UNSTORABLE.search(given):
        raise NoRule(f"{path} is too long, or holds a character that cannot be stored.")
    return given


def _whole(given: Any, path: str, *, most: int, least: int = 0) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise NoRule(f"{path} should be a whole number from {least:,} to {most:,}.")
    return given


def _moment(given: Any, path: str) -> datetime | None:
    if given is None:
        return None
    moment = to_moment(given)
    if moment is None:
        raise NoRule(f"{path} should be a date or a time such as 2026-01-31T12:00:00Z.")
    return moment.astimezone(UTC)


def _list(given: Any, path: str, *, most: int) -> Sequence[Any]:
    if not isinstance(given, list):
        raise NoRule(f"{path} should be a list.")
    if len(given) > most:
        raise NoRule(f"{path} has more than {most} parts.")
    return given


def _only(given: Mapping[str, Any], keys: set[str], path: str) -> None:
    unknown = sorted(str(key) for key in given.keys() - keys)
    if unknown:
        raise NoRule(f"{path} has the unknown part {unknown[0]!r}.")
