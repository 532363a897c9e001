"""Customers seen in two arms."""

import pytest

from experiments.health.moved import check_moved
from tests.experiments.health.contexts import make_context


@pytest.mark.parametrize(
    ("moved", "severity"),
    [(0, None), (10, None), (11, "warning"), (110, "warning"), (111, "blocking")],
)
def test_moved_customers_matter_by_their_share(moved: int, severity: str | None) -> None:
    # 990 + 10 is exactly 1 %; 990 + 110 is exactly 10 %.
    finding = check_moved(make_context((5000, 500), (5000, 490), moved=moved))
    assert (finding and finding.severity) == severity
