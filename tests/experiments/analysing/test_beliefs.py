"""What to believe follows from past experiments and these data, with the rule's error beside it."""

import pytest

from experiments.analysing.analysis import analyse
from experiments.analysing.beliefs import SURELY, form_beliefs
from experiments.analysing.comparing import Compared
from experiments.lifecycle.status import stop_experiment
from experiments.plan import Plan, PlannedArm, PlannedMetric
from experiments.planning.past import find_prior
from experiments.stats.bayes import FEWEST_PAST, WEAK, Prior, find_stopping_error
from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.proportions import compare_proportions
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    make_customers,
    make_events,
    make_experiment,
    make_metric,
)

ARMS = (PlannedArm("c", "C", 5000, True), PlannedArm("t", "T", 5000, False))
GOAL = PlannedMetric("orders", "Orders", "conversion", {"event": "Order"}, True, "goal")
PLAN = Plan(ARMS, (GOAL,), planned_customers=20_000)
BETTER = compare_proportions(x_c=1000, n_c=10_000, x_t=1150, n_t=10_000)
FLAT = Prior(1e6, "flat")


def compared(result: Result) -> list[Compared]:
    return [Compared("orders", "t", "goal", result, result)]


def test_a_flat_prior_leaves_the_lift_as_it_was_measured() -> None:
    beliefs = form_beliefs(PLAN, compared(BETTER), prior=FLAT, fraction=1.0, earlier=[])
    belief = beliefs["orders", "t"].to_json()
    assert belief["lift"] == pytest.approx(0.15, rel=1e-6)
    # Two-sided p = .0006: a chance of about 1 - p / 2.
    assert belief["chance_to_beat"] == pytest.approx(0.9997, abs=2e-4)
    assert belief["rule_error"] == pytest.approx(2 * (1 - SURELY), rel=1e-6)


def test_a_proper_prior_shrinks_the_lift() -> None:
    flat, weak = (
        form_beliefs(PLAN, compared(BETTER), prior=prior, fraction=1.0, earlier=[])["orders", "t"]
        for prior in (FLAT, WEAK)
    )
    assert 0 < weak.reading.lift < flat.reading.lift
    assert weak.error.total < flat.error.total


def test_more_looks_are_more_error() -> None:
    looks = [0.25, 0.5, 0.75]
    once, often = (
        form_beliefs(PLAN, compared(BETTER), prior=FLAT, fraction=1.0, earlier=earlier)
        for earlier in ([], looks)
    )
    assert often["orders", "t"].error.total > 2 * once["orders", "t"].error.total
    errors = [1 / fraction**0.5 for fraction in [*looks, 1.0]]
    again = find_stopping_error(SURELY, errors, prior=Prior(1e6 / 0.04, "flat"))
    assert often["orders", "t"].error.total == pytest.approx(again.total, rel=1e-3)


def test_what_has_no_lift_is_not_believed_anything_of() -> None:
    nothing = compared(Inconclusive("Nobody came."))
    assert form_beliefs(PLAN, nothing, prior=WEAK, fraction=1.0, earlier=[]) == {}


@pytest.mark.django_db
def test_the_prior_is_learned_from_experiments_that_ended() -> None:
    goal = make_metric()
    assert find_prior(make_experiment(goal=goal)) == WEAK
    for number in range(FEWEST_PAST):
        past = make_experiment(goal=goal, planned_customers=160)
        for arm, orders in (("control", 30), ("new", 30 + number)):
            people = make_customers(80)
            expose(past, people, arm, at=NOW)
            make_events([event_row(p, "Order Completed", at=NOW + HOUR) for p in people[:orders]])
        stop_experiment(past, by=None, now=NOW + DAY)
        analyse(past, now=NOW + DAY)
    prior = find_prior(make_experiment(goal=goal))
    assert prior.source.startswith(f"fitted to {FEWEST_PAST} past experiments")
    assert find_prior(past) == WEAK  # which has only nine others to learn from
    analysis = past.analyses.get()
    analysis.report["verdict"]["kind"] = "unsound"
    analysis.save()
    assert find_prior(make_experiment(goal=goal)) == WEAK  # a broken one teaches nothing
