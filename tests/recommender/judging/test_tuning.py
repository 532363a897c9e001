"""A search begins with a ranker's own settings, goes on after a kill, and tells what is best."""

import sys
from pathlib import Path

import pytest

from recommender.interactions.splits import leave_one_out
from recommender.judging import tuning
from recommender.judging.judge import judge
from recommender.judging.tuning import OutOfTime, Study
from recommender.rankers import make_ranker
from recommender.rankers.base import TrainingContext
from tests.recommender.rankers.worlds import make_facts, make_histories

pytest.importorskip("optuna", reason="optuna is not installed: requirements-training.txt")

SPLIT = leave_one_out(make_histories(80))
QUIET = TrainingContext()


class Killed(BaseException):
    """What nobody catches, as a process that is killed does nothing more."""


def test_it_begins_with_its_own_settings_and_keeps_the_best(tmp_path: Path) -> None:
    study = Study(tmp_path / "markov", "markov")
    values = [study.try_next(SPLIT, None, QUIET) for _ in range(6)]
    found = study.found
    own = judge(make_ranker("markov").fit(SPLIT.learned), SPLIT).means["ndcg@10"]
    assert (found.tried, found.own, values[0]) == (6, own, own)
    assert found.best == max(value for value in values if value is not None)
    best = make_ranker("markov", found.settings).fit(SPLIT.learned)
    assert judge(best, SPLIT).means["ndcg@10"] == found.best


def test_a_study_goes_on_with_what_was_tried_and_draws_something_new(tmp_path: Path) -> None:
    for _ in range(3):
        study = Study(tmp_path / "item_knn", "item_knn")
        study.try_next(SPLIT, None, QUIET)
        study.try_next(SPLIT, None, QUIET)
    trials = study._study.get_trials()
    assert study.found.tried == 6
    assert len({tuple(sorted(trial.params.items())) for trial in trials}) == 6


@pytest.mark.parametrize("end", [Killed, OutOfTime])
def test_what_was_not_tried_to_the_end_is_tried_first(
    tmp_path: Path, end: type[BaseException]
) -> None:
    def stop(part: float) -> None:
        raise end

    study = Study(tmp_path / "two_tower", "two_tower")
    with pytest.raises(end):
        study.try_next(SPLIT, make_facts(), TrainingContext(report=stop))
    unfinished = study._study.get_trials()[0].params
    again = Study(tmp_path / "two_tower", "two_tower")
    trial = again._study.ask(
        {name: again._distribution(name, each) for name, each in again._ranges.items()}
    )
    assert trial.params == unfinished
    assert again.found.tried == 0
    assert again.found.best is None


def test_a_value_is_kept_as_it_was_first(tmp_path: Path) -> None:
    assert Study(tmp_path / "markov", "markov").keep("until", "noon") == "noon"
    assert Study(tmp_path / "markov", "markov").keep("until", "midnight") == "noon"


def test_settings_that_cannot_be_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(tmp_path / "content", "content")
    with pytest.raises(ValueError, match="Content needs facts"):
        study.try_next(SPLIT, None, QUIET)
    # The second one is no longer its own settings, and there may be others that can be.
    assert study.try_next(SPLIT, None, QUIET) is None
    assert study.try_next(SPLIT, make_facts(), QUIET) is not None
    assert study.found.own is None


def test_a_ranker_without_anything_to_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="blend has no settings to search"):
        Study(tmp_path / "blend", "blend")


def test_without_optuna_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=tuning.MISSING[:20]):
        Study(tmp_path / "markov", "markov")
