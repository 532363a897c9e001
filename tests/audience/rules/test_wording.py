"""Rules are said so that a marketer can read them."""

from typing import Any

import pytest

from audience.rules.grammar import Listed, parse_rule
from audience.rules.wording import describe

ORDER = "Order Completed"
DE = {"attribute": "country", "is": "equal", "value": "DE"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "everybody"),
        ({"any": []}, "nobody"),
        (DE, "country is DE"),
        ({**DE, "value": True}, "country is true"),
        ({**DE, "value": False}, "country is false"),
        ({**DE, "is": "one of", "value": ["DE"]}, "country is one of DE"),
        ({**DE, "is": "one of", "value": ["DE", "FR", 1]}, "country is one of DE, FR or 1"),
        ({"attribute": "age", "is": "between", "value": [18, 65]}, "age is between 18 and 65"),
        ({"attribute": "age", "is": "known"}, "age is known"),
        ({"not": DE}, "not (country is DE)"),
        ({"all": [DE]}, "country is DE"),
        ({"all": [DE, {"any": [DE, DE]}]}, "country is DE and (country is DE or country is DE)"),
        ({"event": ORDER, "at_least": 1}, "Order Completed at least 1 time, ever"),
        (
            {"event": ORDER, "at_most": 2, "days": 30},
            "Order Completed at most 2 times in the last 30 days",
        ),
        (
            {"event": ORDER, "at_most": 0, "from": "2026-01-31"},
            "Order Completed never from 31 January 2026",
        ),
        (
            {"event": ORDER, "at_least": 2, "at_most": 2, "until": "2026-01-31T10:30"},
            "Order Completed exactly 2 times until 31 January 2026, 10:30 UTC",
        ),
        (
            {"event": ORDER, "at_least": 2, "at_most": 3},
            "Order Completed 2 to 3 times, ever",
        ),
        (
            {
                "event": ORDER,
                "at_least": 1,
                "where": [{"property": "category", "is": "equal", "value": "shoes"}],
            },
            "Order Completed where category is shoes, at least 1 time, ever",
        ),
        ({"last": ORDER, "within_days": 1}, "Order Completed within the last 1 day"),
        (
            {"last": ORDER, "before_days": 90},
            "Order Completed, last time longer than 90 days ago",
        ),
        (
            {"total": ORDER, "at_least": 1000.5},
            "Order Completed worth at least 1,000.50 in total, ever",
        ),
        ({"audience": "loyal"}, "is in Loyal customers"),
    ],
)
def test_a_rule_is_said(given: Any, said: str) -> None:
    assert describe(parse_rule(given), {"loyal": "Loyal customers"}) == said


def test_a_list_in_place_of_its_name_is_not_said() -> None:
    with pytest.raises(ValueError, match="named by the audience"):
        describe(Listed(1))
