"""Versions are ordered as semantic versioning orders them."""

from itertools import pairwise

import pytest

from audience.conditions.versions import sort_key

# The chain of precedence in the text of Semantic Versioning 2.0.0 (item 11), and its neighbours.
ASCENDING = [
    "0.9.99",
    "0.10.0",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "2.0.0",
    "2.1.0",
    "2.1.1",
    "10.0.0",
]


def test_versions_sort_by_their_precedence() -> None:
    for lower, higher in pairwise(ASCENDING):
        assert sort_key(lower) < sort_key(higher), (lower, higher)


@pytest.mark.parametrize(
    ("one", "same"), [("v1.2.3", "1.2.3"), ("1.2.3+build.5", "1.2.3"), (2, "2"), (None, "0")]
)
def test_some_spellings_are_one_version(one: object, same: str) -> None:
    assert sort_key(one) == sort_key(same)


@pytest.mark.parametrize("nothing", ["", True, [], {}, None])
def test_what_is_no_version_counts_as_zero(nothing: object) -> None:
    assert sort_key(nothing) == sort_key("0") < sort_key("0.0.1")
