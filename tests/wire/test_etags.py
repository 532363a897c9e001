"""A client says by entity tags which version of an answer it has."""

import pytest

from wire.etags import is_known


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ("", False),
        ('W/"a"', True),
        ('"a"', True),
        ('"b", W/"a"', True),
        ("*", True),
        ('W/"b"', False),
    ],
)
def test_a_client_names_what_it_has(header: str | None, expected: bool) -> None:
    assert is_known('W/"a"', header) == expected
