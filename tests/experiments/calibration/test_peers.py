"""Rules of looks: measured against what is known of them, and ours against the bar."""

import math

import numpy as np
import pytest

from experiments.calibration.peers import (
    DRIFT,
    LEAST_POWER,
    LOOKS,
    MOST_ERROR,
    PATHS,
    PeerRule,
    all_rules,
    compare_rules,
    default_rule,
)
from experiments.stats.sequential import crossing_probabilities, find_boundaries

# Measured by other code on 200,000 paths of its own: 28 looks at 100,000 customers. False
# positives, power at the effect that a final test finds in 80%, and at twice that effect.
KNOWN = {
    "One final test": (0.050, 0.801, 1.000),
    "GrowthBook and PostHog: confidence sequence tuned to 5,000": (0.014, 0.406, 0.993),
    "Eppo: confidence sequence tuned to 10,000": (0.016, 0.443, 0.994),
    "Eppo: hybrid of that and a final test": (0.029, 0.718, 1.000),
    "Statsig: mSPRT, equal arms": (0.003, 0.292, 0.985),
    "Spotify: spends alpha t^2": (0.050, 0.763, 1.000),
    "O'Brien-Fleming on both sides": (0.050, 0.775, 1.000),
    "Pocock on both sides": (0.050, 0.693, 0.999),
}
SHORT = 20_000


def within(p: float, paths: int) -> float:
    """Three standard errors of both simulations, and the last digit that is known."""
    return 3 * math.sqrt(p * (1 - p) * (1 / paths + 1 / 200_000)) + 0.0005


def test_every_rule_does_what_is_known_of_it() -> None:
    measured = {one.name: one for one in compare_rules(all_rules(), paths=SHORT, seed=2)}
    for name, known in KNOWN.items():
        # The O'Brien-Fleming boundaries known are those of the two-sided error, slightly others.
        slack = 0.01 if name.startswith("O'Brien") else 0.0
        found = measured[name].error, measured[name].power, measured[name].large_power
        for ours, theirs in zip(found, known, strict=True):
            assert ours == pytest.approx(theirs, abs=within(theirs, SHORT) + slack), name


def test_a_limit_for_one_look_at_every_look_errs_in_a_quarter_of_experiments() -> None:
    (peeked,) = compare_rules(
        [one for one in all_rules() if "every look" in one.name], paths=SHORT, seed=2
    )
    assert peeked.error == pytest.approx(0.275, abs=within(0.275, SHORT))


def test_statsigs_limit_is_the_same_at_all_looks() -> None:
    (rule,) = (one for one in all_rules() if one.name.startswith("Statsig"))
    assert rule.upper == pytest.approx(np.full(LOOKS, 3.585), abs=5e-4)


def test_the_path_ends_at_the_first_crossing() -> None:
    limits = np.full(LOOKS, math.inf)
    limits[13] = -9.0
    (found,) = compare_rules([PeerRule("half-way", limits, -np.full(LOOKS, math.inf))],
                             paths=100, seed=1)  # fmt: skip
    assert (found.error, found.power, found.stop) == (1.0, 1.0, 0.5)


def test_simulated_paths_cross_as_integration_says() -> None:
    boundaries = find_boundaries([look / LOOKS for look in range(1, LOOKS + 1)])
    up, down = crossing_probabilities(boundaries, drift=0.0)
    power = crossing_probabilities(boundaries, drift=DRIFT)[0].sum()
    (found,) = compare_rules([default_rule()], paths=SHORT, seed=3)
    error = up.sum() + down.sum()
    assert found.error == pytest.approx(error, abs=3 * math.sqrt(error * (1 - error) / SHORT))
    assert found.power == pytest.approx(power, abs=3 * math.sqrt(power * (1 - power) / SHORT))


@pytest.mark.slow
def test_the_default_rule_clears_the_bar_and_always_valid_rules_do_not() -> None:
    ours, *others = compare_rules(all_rules(), paths=PATHS, seed=1)
    assert ours.error <= MOST_ERROR
    assert ours.power >= LEAST_POWER
    for other in others:
        if other.name.startswith(("GrowthBook", "Eppo", "Statsig")):
            assert other.power < LEAST_POWER
