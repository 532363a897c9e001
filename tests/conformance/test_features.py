"""Examples are read as they stand in OpenFeature's files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.features import OF_THE_SDK, Example, read_examples

OUTLINE = r"""Feature: Flags
  Background:
    Given a stable provider

  @tag
  Scenario Outline: Resolve
    Given a <type>-flag with key "<key>" and a fallback value "<default>"
    When the flag was evaluated with details

    @objects
    Examples: Objects
      | key | type   | default    |
      | one | Object | {\"a\": 1} |

      | two | String |            |

  Scenario: Metadata
    Then the resolved metadata should contain
      | key | value |
      | a   | 1     |
      | b   | 2     |
"""


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    path = tmp_path / "flags.feature"
    path.write_text(OUTLINE)
    return list(read_examples(path))


def test_an_outline_is_an_example_for_each_row(examples: list[Example]) -> None:
    one, two, _ = examples
    assert one.steps == [
        ('a Object-flag with key "one" and a fallback value "{"a": 1}"', []),
        ("the flag was evaluated with details", []),
    ]
    assert two.steps[0][0] == 'a String-flag with key "two" and a fallback value ""'


def test_a_table_belongs_to_the_step_above(examples: list[Example]) -> None:
    table = [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    assert examples[-1] == Example("Metadata", [("the resolved metadata should contain", table)])


def test_what_no_server_can_fail_is_told_apart() -> None:
    assert Example("Resolve values", []).is_of_a_server
    assert not Example("CACHED reason", []).is_of_a_server


def test_all_of_openfeatures_examples_are_read(shared_file: Callable[[str], Path]) -> None:
    found = [
        example
        for name in ("evaluation_v2", "metadata")
        for example in read_examples(shared_file(f"specs/openfeature/{name}.feature"))
    ]
    # Counted by hand in the files.
    assert sum(example.is_of_a_server for example in found) == 63
    assert len(found) == 87
    assert {example.scenario for example in found} >= OF_THE_SDK
    assert all("<" not in step for example in found for step, _ in example.steps)
