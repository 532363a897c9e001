"""Rules and people by chance, as awkward as they may be: alike, nearly alike, absurd."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from audience.rules.evaluation import Happening

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TEXTS = ["", "a", "A", "b", "ä", "Ä", "10", "9", "-1", "1.50", "1e3", " 1", "true", "null", "0"]
TEXTS += ["\U0001f600", "aÄb", "İ", "ß", "Straße", "%s", "a%b", "'; --", "{}", "VALUE", "\\", '"']
DATES = ["2026-03-02", "2026-03-01", "2026-02-30", "2026-02-20T10:00", "2026-03-02T12:00:00Z"]
DATES += ["2026-03-02T14:00:00+02:00", "2026-03-09 23:59:59.5", "1899-01-01", "2026-13-01"]
DATES += ["2026-03-02T12:00:00.000001Z", "2026-3-2", "2026-02-28T24:00", "2024-02-29", "20260302"]
DATES += [
    "2026-03-01T10:30",
    "2026-03-02T12:00-14:30",
    "2026-03-02T12",
    "2026-02-28T12:00:60Z",
    "2026-03-02\n",
]
NUMBERS = [0, 1, 2, 3, 9, 10, -1, 0.1, 0.3, 1.5, -0.0, 1e-7, 2**53, 2**53 + 1, 1e21, 10**25]
STRANGE = [10**400, -(10**400), 1e300, 1e299, -1e308, 5e-324, 1e-301, 1e-299]
PATHS = ["a", "b", "a.c", "b.0.c", "scores.churn", "0", "ä", "%s", "VALUE"]
NAMES = ["Order Completed", "Product Viewed", "ä'%s"]
PROPERTIES = ["kind", "price", "shop.name"]


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - tests need no secrets


def scalar(rng: random.Random) -> Any:
    return rng.choice(
        [None, True, False]
        + [rng.choice(TEXTS)] * 4
        + [rng.choice(DATES)] * 3
        + [rng.choice(NUMBERS)] * 4
        + [rng.choice(STRANGE)]
    )


def value(rng: random.Random) -> Any:
    kind = rng.random()
    if kind < 0.8:
        return scalar(rng)
    if kind < 0.9:
        return [scalar(rng) for _ in range(rng.randrange(3))]
    return {rng.choice(["c", "0"]): scalar(rng) for _ in range(rng.randrange(3))}


def attributes(rng: random.Random) -> dict[str, Any]:
    known = {rng.choice(["a", "b", "0", "ä", "%s", "VALUE"]): value(rng) for _ in range(4)}
    if rng.random() < 0.5:
        known["scores"] = {"churn": value(rng)}
    if rng.random() < 0.2:
        known["b"] = {"0": {"c": scalar(rng)}}
    return known


def happening(rng: random.Random) -> Happening:
    ago = rng.choice(
        [
            timedelta(0),
            timedelta(microseconds=rng.choice([-1, 1])),
            timedelta(days=rng.choice([1, 2, 7, 30])),
            timedelta(days=rng.choice([1, 2, 7]), microseconds=rng.choice([-1, 1])),
            timedelta(seconds=rng.randrange(90 * 86_400)),
        ]
    )
    worth = rng.choice([None, 0.0, 1.0, 10.0, 0.005, 0.015, 2.675, -3.0, 1e14, -0.0, 1e-9, 0.125])
    properties = {}
    if rng.random() < 0.7:
        properties["kind"] = value(rng)
    if rng.random() < 0.5:
        properties["price"] = rng.choice([*NUMBERS, *TEXTS])
    if rng.random() < 0.3:
        properties["shop"] = {"name": scalar(rng)}
    return Happening(rng.choice(NAMES), NOW - ago, worth, properties)


def rule(rng: random.Random, *, lists: list[str], depth: int = 3) -> dict[str, Any]:
    kind = rng.random()
    if depth > 1 and kind < 0.15:
        return {"not": rule(rng, lists=lists, depth=depth - 1)}
    if depth > 1 and kind < 0.4:
        parts = [rule(rng, lists=lists, depth=depth - 1) for _ in range(rng.randrange(4))]
        return {rng.choice(["all", "any"]): parts}
    if rng.random() < 0.4:
        return {"attribute": rng.choice(PATHS), **test(rng)}
    return {"audience": rng.choice(lists)} if rng.random() < 0.15 else rule_of_events(rng)


def rule_of_events(rng: random.Random) -> dict[str, Any]:
    kind = rng.random()
    where = [
        {"property": rng.choice(PROPERTIES), **test(rng)} for _ in range(rng.choice([0, 0, 1]))
    ]
    shared: dict[str, Any] = {"where": where} if where else {}
    if kind < 0.3:
        return {
            "last": rng.choice(NAMES),
            rng.choice(["within_days", "before_days"]): rng.choice([0, 1, 2, 7, 30]),
            **shared,
        }
    shared |= window(rng)
    if kind < 0.65:
        least, most = sorted([rng.randrange(4), rng.randrange(4)])
        bounds = [{"at_least": least}, {"at_most": most}, {"at_least": least, "at_most": most}]
        return {"event": rng.choice(NAMES), **shared, **rng.choice(bounds)}
    amount = rng.choice([0, 1, 10, 0.01, 0.02, 2.67, -1, -3, 1e11, 0.005])
    return {"total": rng.choice(NAMES), **shared, rng.choice(["at_least", "at_most"]): amount}


def window(rng: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if rng.random() < 0.4:
        found["days"] = rng.choice([1, 2, 7, 30])
    elif rng.random() < 0.4:
        found["from"] = (NOW - timedelta(days=rng.randrange(20, 90))).isoformat()
    if rng.random() < 0.2:
        found["until"] = (NOW - timedelta(days=rng.randrange(0, 19))).isoformat()
    return found


def test(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(KINDS)
    return {"is": kind, "value": OPERANDS[kind](rng)} if kind in OPERANDS else {"is": kind}


def operand(rng: random.Random) -> Any:
    return rng.choice([rng.choice(NUMBERS[:13]), rng.choice(TEXTS[1:]), rng.choice([True, False])])


def number(rng: random.Random) -> Any:
    return rng.choice(NUMBERS[:13])


def days(rng: random.Random) -> Any:
    return rng.choice([0, 1, 2, 7, 30, 20_000])


def date(rng: random.Random) -> Any:
    return rng.choice(["2026-03-02", "2026-03-01T10:00", "2026-03-02T12:00:00Z", "2024-02-29"])


OPERANDS: dict[str, Any] = {
    "equal": operand,
    "one of": lambda rng: [operand(rng) for _ in range(rng.randrange(1, 4))],
    "at least": number,
    "at most": number,
    "more than": number,
    "less than": number,
    "between": lambda rng: sorted([number(rng), number(rng)]),
    "contain": lambda rng: rng.choice(TEXTS[1:]),
    "in last days": days,
    "in next days": days,
    "days ago": days,
    "after": date,
    "until": date,
}
KINDS = [*OPERANDS, "known"]
test.__test__ = False  # type: ignore[attr-defined]  # not one of pytest's
