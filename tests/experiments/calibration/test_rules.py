"""Rules followed through looks, against the comparisons and boundaries that they are made of."""

from collections.abc import Sequence

import pytest

from experiments.calibration.rules import ChanceToBeat, Monitored, Seen, find_looks
from experiments.plan import Monitoring
from experiments.stats.bayes import WEAK, find_log_ratio, read_effect
from experiments.stats.estimate import Estimate, Inconclusive, Result
from experiments.stats.proportions import compare_proportions
from experiments.stats.sequential import find_boundaries

FRACTIONS = (0.25, 0.5, 0.75, 1.0)
FIXED = Monitored("fixed", Monitoring(rule="fixed"))
SEQUENTIAL = Monitored("group-sequential", Monitoring())
SEQUENCE = Monitored("confidence sequence", Monitoring(rule="confidence_sequence"))
BAYES = ChanceToBeat("Bayesian", 0.95, WEAK)
NOTHING = Inconclusive("Nobody came.")


def compare(x_t: int, *, x_c: int = 200, n: int = 2000) -> Estimate:
    result = compare_proportions(x_c=x_c, n_c=n, x_t=x_t, n_t=n)
    assert isinstance(result, Estimate)
    return result


def looks(results: Sequence[Result], *, difference: float = 0.0, lift: float = 0.0) -> list[Seen]:
    return [
        Seen(fraction, result, difference, lift)
        for fraction, result in zip(FRACTIONS, results, strict=True)
    ]


def test_boundaries_are_those_of_all_looks_together() -> None:
    found = [look.boundary for look in find_looks(Monitoring(), FRACTIONS) if look]
    expected = find_boundaries(FRACTIONS)
    assert [b.upper for b in found] == pytest.approx([b.upper for b in expected])
    assert [b.lower for b in found] == pytest.approx([b.lower for b in expected])


def test_a_fixed_plan_looks_at_its_end_only() -> None:
    early = [compare(300), compare(300), compare(300), compare(205)]
    followed = FIXED.follow(looks(early))
    assert followed is not None
    assert (followed.called, followed.difference, followed.lift) == ("nothing", "around", "around")
    late = FIXED.follow(looks([*early[:3], compare(300)]))
    assert late is not None
    assert late.called == "up"


@pytest.mark.parametrize(("x_t", "called"), [(300, "up"), (110, "down"), (205, "nothing")])
def test_the_first_call_stands(x_t: int, called: str) -> None:
    followed = SEQUENTIAL.follow(looks([compare(205), compare(x_t), compare(205), compare(205)]))
    assert followed is not None
    assert followed.called == called


def test_an_interval_has_to_hold_at_every_look() -> None:
    results = [compare(205), compare(300), compare(205), compare(205)]
    followed = SEQUENTIAL.follow(looks(results))
    assert followed is not None
    # 15% against 10% at half of the customers: both intervals are above no effect.
    assert (followed.difference, followed.lift) == ("above", "above")
    other = SEQUENTIAL.follow(looks(results, difference=0.02, lift=0.2))
    assert other is not None
    assert (other.difference, other.lift) == ("around", "around")


def test_an_interval_below_the_truth_is_told_from_one_above() -> None:
    followed = FIXED.follow(looks([compare(205)] * 4, difference=0.2, lift=2.0))
    assert followed is not None
    assert (followed.difference, followed.lift) == ("below", "below")


def test_a_confidence_sequence_asks_for_more_than_a_single_look() -> None:
    results = [compare(250)] * 4  # z = 2.5 each time
    assert compare(250).is_significant
    followed = SEQUENCE.follow(looks(results))
    assert followed is not None
    assert followed.called == "nothing"


@pytest.mark.parametrize("rule", [FIXED, SEQUENTIAL, SEQUENCE, BAYES])
def test_looks_without_an_estimate_are_passed_over(
    rule: Monitored | ChanceToBeat,
) -> None:
    assert rule.follow(looks([NOTHING] * 4)) is None
    followed = rule.follow(looks([NOTHING, NOTHING, NOTHING, compare(350)]))
    assert followed is not None
    assert followed.called == "up"


@pytest.mark.parametrize("x_t", [205, 228, 245, 160])
def test_a_bayesian_stops_at_the_chance_to_beat(x_t: int) -> None:
    found = find_log_ratio(compare(x_t))
    assert found is not None
    chance = read_effect(*found, prior=WEAK).chance_to_beat
    followed = BAYES.follow(looks([compare(205), compare(x_t), compare(205), compare(205)]))
    assert followed is not None
    expected = "up" if chance > 0.95 else "down" if chance < 0.05 else "nothing"
    assert followed.called == expected
    assert followed.difference is None
