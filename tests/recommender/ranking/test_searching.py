"""Settings are searched on a ranking's own events, and change nothing unless asked to."""

import io
import json
import re
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audience.models import Event
from recommender.models.rankings import Ranking
from recommender.ranking.interactions import read_site
from recommender.ranking.searching import open_study, split_for_search, study_path
from tests.makers import DAY, NOW, make_user
from tests.recommender.ranking.shops import make_ranking, make_shop

pytest.importorskip("optuna", reason="optuna is not installed: requirements-training.txt")
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _apart(settings: Any, tmp_path: Any) -> None:
    """Keep studies in a folder of the test's own."""
    settings.DATA_DIR = tmp_path


# The command searches as of today, whenever that is.
LONG = {"window_days": 36_500}


def tune(ranking: Ranking, kind: str = "markov", **options: Any) -> str:
    said = io.StringIO()
    call_command("tune_ranking", ranking.key, kind, stdout=said, **({"minutes": 0.05} | options))
    return said.getvalue()


def tried(said: str) -> int:
    found = re.search(r"(\d+) settings tried", said)
    assert found is not None
    return int(found[1])


def test_a_search_goes_on_and_writes_only_on_request() -> None:
    make_shop()
    ranking = make_ranking(**LONG)
    first = tried(tune(ranking))
    ranking.refresh_from_db()
    assert ranking.tuned == {}
    said = tune(ranking, write=True)
    assert tried(said) > first >= 1
    ranking.refresh_from_db()
    assert ranking.tuned == {"markov": json.loads(said.splitlines()[-2])}
    assert tried(tune(ranking, anew=True)) < tried(said)


def test_the_events_of_a_trial_are_neither_learned_from_nor_asked_for() -> None:
    make_shop()
    data = read_site(
        make_ranking().event_weights, since=NOW - 180 * DAY, until=NOW, per_customer=200
    )
    trial = float(np.quantile(data.histories.times, 0.9))
    split = split_for_search(data.histories)
    assert split.answers.times.max() < trial
    assert split.learned.times.max() < split.answers.times.min()


def test_events_that_change_meanwhile_end_a_study() -> None:
    people = make_shop()
    ranking = make_ranking()
    open_study(ranking, "markov", now=NOW)
    open_study(ranking, "markov", now=timezone.now())
    Event.objects.filter(customer=people[0]).delete()
    with pytest.raises(ValueError, match="Begin anew"):
        open_study(ranking, "markov", now=NOW)


def test_a_search_that_cannot_be_is_refused() -> None:
    ranking = make_ranking()
    with pytest.raises(CommandError, match="No ranking has the key"):
        call_command("tune_ranking", "nobody", "markov")
    with pytest.raises(CommandError, match="No event names a product"):
        tune(ranking)
    with pytest.raises(CommandError, match="No ranker is called"):
        tune(ranking, "oracle")


def test_too_short_a_time_is_said() -> None:
    make_shop()
    assert "too short" in tune(make_ranking(**LONG), minutes=0.0)


def test_versions_begin_with_what_was_found() -> None:
    marketer = Client(headers={"x-forwarded-proto": "https"})
    marketer.force_login(make_user("recommender.view_ranking", "recommender.change_ranking"))
    ranking = make_ranking(tuned={"markov": {"lags": 7, "decay": 0.5}})
    page = marketer.get(ranking.get_absolute_url()).content.decode()
    assert "markov is trained with" in page
    asked = {"kind": "markov", "settings": '{"decay": 0.6}'}
    marketer.post(reverse("ranking-train", args=[ranking.key]), asked)
    assert ranking.versions.get().hyperparameters == {"lags": 7, "decay": 0.6}
    marketer.post(
        reverse("ranking-train", args=[ranking.key]), asked | {"kind": "popularity", "settings": ""}
    )
    assert ranking.versions.first().hyperparameters == {}  # type: ignore[union-attr]


def test_settings_of_unknown_rankers_are_refused() -> None:
    refused: list[object] = [{"oracle": {}}, {"markov": 3}, []]
    for tuned in refused:
        with pytest.raises(ValidationError, match="an object of objects"):
            Ranking(key="a", name="A", tuned=tuned).full_clean()


def test_a_study_has_a_file_of_its_own() -> None:
    ranking = make_ranking()
    assert study_path(ranking, "als").name == f"{ranking.key}-als.journal"
