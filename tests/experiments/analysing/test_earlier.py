"""What was judged before is remembered."""

import pytest
from django.db import IntegrityError, transaction

from experiments.analysing.earlier import Earlier, recall_looks
from experiments.models import Analysis, Experiment
from tests.makers import DAY, NOW, make_experiment

pytestmark = pytest.mark.django_db


def store(
    experiment: Experiment,
    *,
    day: int,
    look: float | None,
    harmful: tuple[str, ...] = (),
    is_decision: bool = False,
) -> Analysis:
    verdict: dict[str, object] = {"look": look, "harmful_arms": list(harmful)}
    return Analysis.objects.create(
        experiment=experiment,
        computed_at=NOW + day * DAY,
        look=look,
        is_decision=is_decision,
        moments={},
        report={"verdict": verdict, "customers": 100 * day, "days": day, "minimum_days": 2},
    )


def test_an_experiment_that_was_never_judged_remembers_nothing() -> None:
    assert recall_looks(make_experiment()) == Earlier()


def test_looks_harm_and_the_decision_are_remembered() -> None:
    experiment = make_experiment()
    store(experiment, day=1, look=0.1, harmful=("new",))
    store(experiment, day=2, look=None)
    first = store(experiment, day=3, look=0.3, is_decision=True)
    store(make_experiment(), day=1, look=0.7)

    earlier = recall_looks(experiment)

    assert (earlier.looks, earlier.harm_looks, earlier.customers) == ((0.1, 0.3), 1, (100, 300))
    assert earlier.harmful == ("new",)
    assert earlier.verdict == first.report["verdict"]


def test_only_one_analysis_decides() -> None:
    experiment = make_experiment()
    store(experiment, day=1, look=0.5, is_decision=True)
    with pytest.raises(IntegrityError, match="one_decision_per_experiment"), transaction.atomic():
        store(experiment, day=2, look=0.6, is_decision=True)
