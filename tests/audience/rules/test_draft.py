"""What the builder shows is what the rule means."""

from typing import Any

import pytest

from audience.rules.draft import Draft, Group, Row, to_draft
from audience.rules.grammar import EVERYBODY, All, Not, Some, parse_rule

A, B, C, D = (
    parse_rule({"attribute": name, "is": "equal", "value": 1}) for name in ("a", "b", "c", "d")
)


def draft(joined: str, *groups: tuple[str, list[Any]]) -> Draft:
    return Draft(
        joined,
        tuple(
            Group(inner, tuple(row if isinstance(row, Row) else Row(row) for row in rows))
            for inner, rows in groups
        ),
    )


@pytest.mark.parametrize(
    "rule",
    [
        EVERYBODY,
        A,
        Not(A),
        All((A, B)),
        Some((A, Not(B), C)),
        All((Some((A, B)), C)),
        Some((All((A, Not(B))), All((C, D)))),
        All((Some((A, B)), Some((C, D)))),
    ],
)
def test_a_rule_of_two_levels_is_shown_and_comes_back(rule: Any) -> None:
    shown = to_draft(rule)
    assert shown is not None
    assert shown.rule == rule


@pytest.mark.parametrize(
    "rule",
    [
        All((Some((All((A, B)), C)), D)),
        Not(All((A, B))),
        Not(Not(A)),
        All((Some(()), A)),
        All((Not(Some((A, B))), C)),
    ],
)
def test_what_is_nested_deeper_is_not_shown(rule: Any) -> None:
    assert to_draft(rule) is None


def test_rows_alone_are_one_group() -> None:
    shown = to_draft(Some((A, Not(B))))
    assert shown == draft("all", ("any", [A, Row(B, negated=True)]))


def test_the_first_rows_are_what_the_draft_would_mean_without_the_rest() -> None:
    shown = draft("all", ("any", [A, B]), ("all", [C]))
    assert [shown.first(n) for n in range(4)] == [
        EVERYBODY,
        A,
        Some((A, B)),
        All((Some((A, B)), C)),
    ]


def test_an_empty_group_means_nothing() -> None:
    assert draft("any", ("all", []), ("any", [A])).rule == A
    assert draft("any").rule == EVERYBODY
