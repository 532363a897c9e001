"""Values of several currencies that are added up."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from experiments.health.base import Currencies, Finding
from experiments.health.currencies import check_currencies
from tests.experiments.health.contexts import make_context


def check(*found: Currencies) -> Finding | None:
    return check_currencies(replace(make_context(), currencies=found))


def spend(
    counted: Mapping[str, int],
    *,
    own: str | None = "EUR",
    left_out: Mapping[str, int] | None = None,
    decides: bool = True,
    metric: str = "spend",
) -> Currencies:
    return Currencies(metric, decides, own, counted, left_out or {})


@pytest.mark.parametrize(
    ("own", "counted", "severity"),
    [
        ("EUR", {"EUR": 100}, None),
        ("EUR", {"": 100}, None),
        ("EUR", {"EUR": 50, "": 50}, None),
        (None, {"USD": 50, "": 50}, None),
        (None, {"": 100}, None),
        ("EUR", {"EUR": 99, "USD": 1}, "blocking"),
        ("EUR", {"EUR": 100, "USD": 1}, "warning"),
        ("EUR", {"": 50, "USD": 50}, "blocking"),
        (None, {"EUR": 10, "USD": 90}, "blocking"),
        ("EUR", {"USD": 100}, "warning"),
    ],
)
def test_values_are_of_one_currency(
    own: str | None, counted: Mapping[str, int], severity: str | None
) -> None:
    finding = check(spend(counted, own=own))
    assert (finding.severity if finding else None) == severity


def test_a_metric_that_does_not_decide_blocks_nothing() -> None:
    finding = check(spend({"EUR": 50, "USD": 50}, decides=False))
    assert finding is not None
    assert finding.severity == "warning"


def test_currencies_are_said_with_their_shares_the_largest_first() -> None:
    counted = {"USD": 290, "EUR": 700, "": 8, "GBP": 1, "SEK": 1}
    finding = check(spend(counted), spend({"EUR": 1, "JPY": 1}, metric="basket", decides=False))
    assert finding is not None
    assert finding.detail.startswith(
        "spend counts values in EUR (70%), USD (29%), no currency said (under 1%), "
        "GBP (under 1%) and 1 more (under 1%), each as if it were in EUR. "
        "The same holds for 1 more."
    )
    assert [one["metric"] for one in finding.evidence["found"]] == ["spend", "basket"]


def test_a_metric_that_is_called_by_another_currency_is_found() -> None:
    finding = check(spend({"USD": 100}))
    assert finding is not None
    assert finding.detail.startswith("spend is said in EUR, and its values came in USD (100%).")


def test_what_a_metric_leaves_out_is_noted() -> None:
    finding = check(spend({"EUR": 880}, left_out={"USD": 100, "": 20}))
    assert finding is not None
    assert finding.severity == "note"
    assert finding.detail.startswith(
        "spend leaves out 120 of 1,000 events because of their currency: "
        "USD (10%) and no currency said (2%)."
    )
