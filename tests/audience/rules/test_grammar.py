"""What is a rule is read and written alike; what is none is refused with its place."""

import random
from typing import Any

import pytest

from audience.rules.grammar import (
    DEEPEST,
    EVERYBODY,
    MOST_TESTS,
    Happened,
    Listed,
    NoRule,
    parse_rule,
    to_json,
)
from tests.audience.rules.random_rules import chance, rule

ORDER = "Order Completed"
DE = {"attribute": "country", "is": "equal", "value": "DE"}


def test_whatever_is_read_is_written_so_that_it_is_read_again() -> None:
    rng = chance(0)
    for _ in range(500):
        parsed = parse_rule(rule(rng, lists=["a"]))
        assert parse_rule(to_json(parsed)) == parsed


def test_an_empty_rule_is_everybody() -> None:
    assert parse_rule({}) == parse_rule({"all": []}) == EVERYBODY


def test_a_rule_is_written_in_words_of_its_own() -> None:
    given = {
        "all": [
            {"any": [DE, {"not": {"attribute": "age", "is": "between", "value": [18, 65]}}]},
            {
                "event": ORDER,
                "where": [{"property": "category", "is": "known"}],
                "days": 30,
                "at_least": 1,
                "at_most": 3,
            },
            {"last": ORDER, "before_days": 90},
            {"total": ORDER, "from": "2026-01-01T00:00:00+00:00", "at_most": 99.99},
            {"total": ORDER, "until": "2026-01-01T00:00:00+00:00", "at_least": 1.0},
            {"audience": "loyal"},
        ]
    }
    assert to_json(parse_rule(given)) == given


def test_a_list_in_place_of_its_name_is_not_written() -> None:
    with pytest.raises(ValueError, match="is not written"):
        to_json(Listed(1))


def test_times_without_a_lower_bound_begin_at_none() -> None:
    read = parse_rule({"event": ORDER, "at_most": 2})
    assert isinstance(read, Happened)
    assert (read.least, read.most) == (0, 2)


def nested(depth: int) -> Any:
    given: Any = DE
    for _ in range(depth):
        given = {"not": given}
    return given


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "The rule should be an object"),
        ({"near": 1}, "neither a group nor a condition"),
        ({"all": {}}, "The rule, all should be a list"),
        ({"all": [1]}, "The rule, all, part 1 should be an object|The rule, part 1 should be"),
        ({"all": [], "any": []}, "unknown part 'any'"),
        ({"all": [DE] * (MOST_TESTS + 1)}, "more than 100 parts"),
        ({"all": [{"any": [DE] * 51}] * 2}, "more than 100 conditions"),
        (nested(DEEPEST), "nested more than 6"),
        ({**DE, "near": 1}, "unknown part 'near'"),
        ({**DE, "is": "near"}, "should be one of: equal"),
        ({**DE, "is": ["equal"]}, "should be one of: equal"),
        ({**DE, "attribute": " "}, "should be a name"),
        ({**DE, "attribute": 1}, "should be a name"),
        ({**DE, "attribute": "a\0"}, "cannot be stored"),
        ({**DE, "value": None}, "Say what it is compared with"),
        ({**DE, "value": [1]}, "Say what it is compared with"),
        ({**DE, "value": ""}, "Say which text"),
        ({**DE, "value": "\ud800"}, "cannot be stored"),
        ({**DE, "value": float("nan")}, "Compare with a number"),
        ({**DE, "is": "one of", "value": "DE"}, "List what it may be"),
        ({**DE, "is": "one of", "value": []}, "List what it may be"),
        ({**DE, "is": "one of", "value": [""]}, "Say which text"),
        ({**DE, "is": "one of", "value": ["a"] * 1001}, "can be uploaded"),
        ({**DE, "is": "at least", "value": "3"}, "Compare with a number"),
        ({**DE, "is": "at least", "value": True}, "Compare with a number"),
        ({**DE, "is": "at least", "value": 10**400}, "Compare with a number"),
        ({**DE, "is": "between", "value": [1]}, "Say two numbers"),
        ({**DE, "is": "between", "value": [2, 1]}, "should not be above"),
        ({**DE, "is": "contain", "value": 1}, "Say which text"),
        ({**DE, "is": "contain", "value": "a" * 1001}, "too long"),
        ({**DE, "is": "known", "value": 1}, "takes no value"),
        ({**DE, "is": "in last days", "value": -1}, "how many days"),
        ({**DE, "is": "in last days", "value": True}, "how many days"),
        ({**DE, "is": "after", "value": "2026-02-30"}, "such as 2026-01-31"),
        ({"event": ORDER}, "how many times"),
        ({"event": ORDER, "at_least": 1.5}, "a whole number from 0"),
        ({"event": ORDER, "at_least": -1}, "a whole number from 0"),
        ({"event": ORDER, "at_least": 3, "at_most": 2}, "at least 3 times and at most 2"),
        ({"event": ORDER, "at_least": 1, "days": 0}, "a whole number from 1"),
        ({"event": ORDER, "at_least": 1, "days": 1, "from": "2026-01-01"}, "either `days` or"),
        ({"event": ORDER, "at_least": 1, "from": "soon"}, "such as 2026-01-31T12"),
        (
            {"event": ORDER, "at_least": 1, "from": "2026-02-01", "until": "2026-01-01"},
            "begin before it ends",
        ),
        ({"event": ORDER, "at_least": 1, "where": [1]}, "property 1 should name a property"),
        ({"event": ORDER, "at_least": 1, "where": [{}] * 11}, "more than 10 parts"),
        ({"last": ORDER}, "either `within_days` or"),
        ({"last": ORDER, "within_days": 1, "before_days": 1}, "either `within_days` or"),
        ({"total": ORDER}, "how much"),
        ({"total": ORDER, "at_least": "1"}, "should be an amount"),
        ({"total": ORDER, "at_least": True}, "should be an amount"),
        ({"total": ORDER, "at_least": float("inf")}, "too large"),
        ({"audience": ""}, "should be a name"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(given: Any, why: str) -> None:
    with pytest.raises(NoRule, match=why):
        parse_rule(given)


def test_each_kind_of_malformed_json_is_refused_without_another_error() -> None:
    rng = chance(1)
    odd: list[Any] = [None, True, 1, "", [], {}, {"all": 1}, 10**400, "\0", [[]], {"": ""}]
    for _ in range(3_000):
        given = rule(rng, lists=["a"])
        spoil(rng, given, odd)
        try:
            parse_rule(given)
        except NoRule:
            continue


def spoil(rng: random.Random, given: Any, odd: list[Any]) -> None:
    """Put something odd in the place of something."""
    if isinstance(given, dict) and given:
        key = rng.choice(list(given))
        if rng.random() < 0.5 and isinstance(given[key], dict | list) and given[key]:
            spoil(rng, given[key], odd)
        else:
            given[key] = rng.choice(odd)
    elif isinstance(given, list) and given:
        spoil(rng, rng.choice(given), odd)
