"""Patterns that are taken are found, and soon; those that could take for ever are refused."""

import time

import pytest

from audience.conditions.patterns import LONGEST, LOOKED_AT, is_found, why_refused


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "^ping",
        "-12-25$",
        "(Mobile|Tablet)",
        "a*b+",
        r"^[a-z0-9.]+@[^@]+$",
        "(?:ab){3}",
        "(ab)+",
        "(?i:x)?",
        "(a|b)?",
        "(?<=a)b",
        r"\(\)+\)+",
        "[+*?|()]{2}",
        "[]a]+[^]]",
        r"\d{2,4}-\d{2,4}",
        "x?" * 8,
        "(a|aa)" * 8,
    ],
)
def test_a_common_pattern_is_taken(pattern: str) -> None:
    assert why_refused(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("x" * (LONGEST + 1), "A pattern may have 200 characters."),
        ("/???***[)", "This is no regular expression: multiple repeat at position 3."),
        ("a{99999999999}", "This is no regular expression"),
        ("(a+)+", "What varies may not be repeated"),
        ("(a|aa)*", "What varies may not be repeated"),
        ("(a?){30}", "What varies may not be repeated"),
        ("((?:a|b)c){2,}", "What varies may not be repeated"),
        ("(?P<n>[ab]*)*", "What varies may not be repeated"),
        ("a*a*a*", "It leaves too much open"),
        ("a?a?a?a*a*", "It leaves too much open"),
        ("x?" * 9, "It leaves too much open"),
        ("(a|aa)" * 9, "It leaves too much open"),
    ],
)
def test_a_pattern_is_refused_for_a_reason(pattern: str, why: str) -> None:
    assert str(why_refused(pattern)).startswith(why)
    assert not is_found(pattern, "a")


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern",
    ["a?a?a*a*[bc]", "(a|aa)(a|aa).*.*[xy]", "a?a?a?a?a?[ab]*[xy]", "(a|aa)" * 8 + "[xy]"],
)
def test_the_slowest_patterns_that_are_taken_end_within_seconds(pattern: str) -> None:
    assert why_refused(pattern) is None
    started = time.monotonic()
    assert not is_found(pattern, "a" * 10 * LOOKED_AT)
    assert time.monotonic() - started < 10


def test_case_counts_unless_it_is_said_not_to() -> None:
    assert is_found("mobile", "Mobile", ignore_case=True)
    assert not is_found("mobile", "Mobile")
    assert is_found("mobile", "a mobile")
