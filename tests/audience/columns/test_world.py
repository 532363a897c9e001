"""Arrays grow, and rules are evaluated only once they name no audience."""

import numpy as np
import pytest

from audience.columns.growing import Growing
from audience.columns.world import Wanted, World
from audience.rules.grammar import In, Listed, Not, parse_rule
from tests.makers import NOW


def test_an_array_grows_beyond_its_room_and_keeps_its_rows() -> None:
    rows = Growing(np.int64)
    rows.add(np.arange(1000, dtype=np.int64))
    rows.add(np.arange(1000, 5000, dtype=np.int64))
    rows.add(np.empty(0, np.int64))
    rows.resize(5010)
    assert rows.view()[:5000].tolist() == list(range(5000))
    assert rows.view()[5000:].tolist() == [0] * 10


def test_a_name_that_is_left_is_an_error() -> None:
    with pytest.raises(ValueError, match="not put in its place"):
        World().find([In("a")], now=NOW)


def test_what_rules_want_is_known_before_it_is_read() -> None:
    viewed = {"property": "kind", "is": "known"}
    wanted = Wanted.by(
        parse_rule({"any": [{"attribute": "a.b", "is": "known"}, {"last": "x", "within_days": 1}]}),
        Not(parse_rule({"total": "x", "at_least": 1, "where": [viewed]})),
        Listed(7),
        In("nobody asked yet"),
    )
    assert wanted == Wanted({"a.b"}, {"x": {"kind"}}, {7})
