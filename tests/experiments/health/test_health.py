"""What every check keeps to: silence on sound data, and findings that can be stored."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from experiments.health import CHECKS
from experiments.health.base import (
    Arrivals,
    Busy,
    Covariate,
    Currencies,
    Finding,
    HealthContext,
    Largest,
    Overlap,
    Segment,
    Trend,
)
from tests.experiments.health.contexts import (
    make_context,
    make_moments,
    make_phase,
    make_sound_context,
)

Check = Callable[[HealthContext], Finding | None]

EVERY_CHECK = pytest.mark.parametrize("check", CHECKS)


def make_broken_context() -> HealthContext:
    """Everything that can be wrong, is."""
    low, high = make_moments(900, 1.0, 1.0), make_moments(900, 2.0, 1.0)
    return replace(
        make_context((5000, 900), (5000, 0), moved=200),
        phases=(make_phase((5000, 900), (5000, 0)), make_phase((9000, 1), (1000, 0))),
        segments=(
            Segment("plan", "free", (make_phase((5000, 400), (5000, 600)),)),
            Segment("plan", "pro", (make_phase((5000, 600), (5000, 400)),)),
        ),
        covariates=(Covariate("spend before", {"A": low, "B": high}),),
        largest=(Largest("spend", "A", 5000.0, make_moments(9000, 10.0, 3000.0)),),
        busy=(Busy("A", 1, 50_000, 100_000),),
        trends=(Trend("B", high, low),),
        overlaps=(
            Overlap(
                "Other",
                {
                    ("A", "on"): low,
                    ("A", "off"): high,
                    ("B", "on"): make_moments(300, 2.0, 1.0),
                    ("B", "off"): low,
                },
            ),
        ),
        arrivals=(Arrivals("spend", 1000, 500, 10.0, 5.0, 900, 400),),
        currencies=(Currencies("spend", True, "EUR", {"EUR": 600, "USD": 400}, {}),),
        days=3.0,
        minimum_days=14,
    )


@EVERY_CHECK
def test_nothing_is_found_where_there_is_nothing(check: Check) -> None:
    assert check(HealthContext((), 0)) is None
    assert check(make_context((5000, 0), (5000, 0))) is None


@EVERY_CHECK
def test_nothing_is_found_in_a_large_sound_experiment(check: Check) -> None:
    assert check(make_sound_context()) is None


def test_the_sound_experiment_gives_every_check_something_to_look_at() -> None:
    sound, nothing = make_sound_context(), HealthContext((), 0)
    assert all(
        getattr(sound, field.name) != getattr(nothing, field.name) for field in fields(sound)
    )


def test_a_sound_experiment_with_counts_alone_has_no_finding(references: dict[str, Any]) -> None:
    known = references["hillstrom"]["srm_equal_thirds"]
    hillstrom = make_context(*((3333, count) for count in known["counts"]))
    assert [check(hillstrom) for check in CHECKS] == [None] * len(CHECKS)


@EVERY_CHECK
def test_every_finding_can_be_stored_and_read(check: Check) -> None:
    finding = check(make_broken_context())
    assert finding is not None
    assert json.loads(json.dumps(finding.evidence)) == finding.evidence
    assert finding.title
    assert finding.detail.endswith(".")


def test_every_problem_has_its_own_name() -> None:
    findings = [check(make_broken_context()) for check in CHECKS]
    codes = [finding.code for finding in findings if finding is not None]
    assert len(set(codes)) == len(CHECKS)
