"""An arm ships only when it does good and nothing that must not be harmed is."""

import math

import pytest
from scipy import stats

from experiments.analysing.standing import ArmResult, Guardrail, Standing, find_standing, margin_z
from experiments.looks import Look, take_look
from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.proportions import compare_proportions

REFUNDS = Guardrail("Refunds", higher_is_better=False)
VISITS = Guardrail("Visits", margin=0.02)


def shares(x_c: int, x_t: int, n: int = 10_000) -> Result:
    return compare_proportions(x_c=x_c, n_c=n, x_t=x_t, n_t=n)


def look(comparisons: int = 1) -> Look:
    taken = take_look(1.0, [], comparisons=comparisons, confidence=0.95)
    assert taken is not None
    return taken


def stand(
    goal: Result, guardrail: Guardrail | None = None, on_it: Result | None = None
) -> Standing:
    guardrails = [] if guardrail is None else [guardrail]
    results = {} if guardrail is None or on_it is None else {guardrail.noun: on_it}
    return find_standing(
        ArmResult("New", goal, results),
        goal_higher_is_better=True,
        guardrails=guardrails,
        goal_look=look(),
        harm_look=look() if guardrails else None,
    )


def test_a_better_arm_without_guardrails_can_ship() -> None:
    standing = stand(shares(1000, 1200))
    assert standing.can_ship
    assert not standing.is_harmful


def test_an_unclear_arm_cannot_ship_and_is_not_harmful() -> None:
    standing = stand(shares(1000, 1010))
    assert not standing.can_ship
    assert not standing.is_harmful


def test_harm_to_a_guardrail_stops_a_better_arm() -> None:
    standing = stand(shares(1000, 1200), REFUNDS, shares(100, 180))
    assert standing.harmed == ("Refunds",)
    assert standing.is_harmful
    assert not standing.can_ship


def test_a_guardrail_that_moved_in_its_good_direction_is_not_harmed() -> None:
    assert stand(shares(1000, 1200), REFUNDS, shares(180, 100)).can_ship


@pytest.mark.parametrize(("converted", "ships"), [(5100, True), (4950, False)])
def test_a_margin_must_be_shown_to_be_kept(converted: int, ships: bool) -> None:
    standing = stand(shares(1000, 1200), VISITS, shares(5000, converted))
    assert standing.can_ship == ships
    assert standing.unproven == (() if ships else ("Visits",))
    assert not standing.is_harmful


def test_a_guardrail_without_estimate_proves_nothing() -> None:
    standing = stand(shares(1000, 1200), VISITS, Inconclusive("Nobody came."))
    assert standing.unproven == ("Visits",)
    assert standing.harmed == ()


def test_an_arm_without_an_estimate_is_neither() -> None:
    standing = stand(Inconclusive("Nobody came."))
    assert (standing.goal, standing.estimate) == ("unclear", None)


def test_the_deviate_from_a_margin_agrees_with_the_interval_shifted_by_it() -> None:
    result = shares(5000, 4990)
    z = margin_z(result, margin=0.05, higher_is_better=True)
    # Katz's standard error of ln(ratio), written out.
    error = math.sqrt(1 / 5000 - 1 / 10_000 + 1 / 4990 - 1 / 10_000)
    assert z == pytest.approx((math.log(4990 / 5000) - math.log(0.95)) / error, rel=1e-3)
    assert stats.norm.sf(z) < 0.025


def test_where_less_is_better_the_margin_is_a_rise() -> None:
    result = shares(5000, 5010)
    up = margin_z(result, margin=0.05, higher_is_better=False)
    down = margin_z(shares(5010, 5000), margin=1 - 1 / 1.05, higher_is_better=True)
    assert up == pytest.approx(down, rel=1e-9)


def test_without_a_lift_no_margin_is_kept() -> None:
    assert margin_z(Inconclusive("x"), margin=0.1, higher_is_better=True) == -math.inf
