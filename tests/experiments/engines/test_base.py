from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from experiments.engines.base import to_plain_rows

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Decimal(3), 3),
        (Decimal("3.0"), 3.0),
        (Decimal("1E+2"), 100),
        (Decimal("-0.5"), -0.5),
        (Decimal("NaN"), float),
        ([Decimal(1), None, [Decimal("1.5")]], [1, None, [1.5]]),
        (True, True),
        (NOON, NOON),
        ("3.0", "3.0"),
        (None, None),
    ],
)
def test_exact_numbers_become_plain_ones_and_the_rest_stays(value: Any, plain: Any) -> None:
    ((found,),) = to_plain_rows([(value,)])
    if plain is float:
        assert found != found
    else:
        assert (found, type(found)) == (plain, type(plain))
