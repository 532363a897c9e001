"""Of many analyses those are kept that tell something."""

import pytest

from experiments.analysing.thinning import thin_analyses
from experiments.models import Analysis, Experiment
from tests.makers import DAY, HOUR, NOW, make_experiment

pytestmark = pytest.mark.django_db


def store(experiment: Experiment, *, hours: float, look: float | None = None) -> Analysis:
    return Analysis.objects.create(
        experiment=experiment, computed_at=NOW + hours * HOUR, moments={}, report={}, look=look
    )


def test_between_looks_the_last_analysis_of_each_day_is_kept() -> None:
    # The clock stands at noon: twelve hours on is the next day.
    experiment = make_experiment()
    looked, _, last = (
        store(experiment, hours=h, look=look) for h, look in ((0, 0.1), (1, None), (2, None))
    )
    next_day = store(experiment, hours=13)
    recent = [store(experiment, hours=hours) for hours in (72, 73)]
    other = store(make_experiment(), hours=1)
    store(other.experiment, hours=2)

    assert thin_analyses(experiment, now=NOW + 74 * HOUR) == 1

    kept = Analysis.objects.filter(experiment=experiment).order_by("computed_at")
    assert list(kept) == [looked, last, next_day, *recent]
    assert Analysis.objects.filter(experiment=other.experiment).count() == 2


def test_nothing_is_deleted_within_a_day() -> None:
    experiment = make_experiment()
    for hours in (0, 1, 2):
        store(experiment, hours=hours)
    assert thin_analyses(experiment, now=NOW + DAY) == 0
