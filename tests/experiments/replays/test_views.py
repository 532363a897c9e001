"""The pages of A/A replays: who may ask, what is refused, what is said."""

from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
from django.test import Client

from experiments.models import Metric, Replay
from experiments.replays.runs import request_replay
from experiments.replays.splitting import sum_up
from tests.makers import NOW, make_metric, make_user

pytestmark = pytest.mark.django_db

VIEW, ADD = "experiments.view_experiment", "experiments.add_replay"


def browse(*permissions: str, is_staff: bool = True) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*permissions, is_staff=is_staff))
    return client


@pytest.fixture
def metric() -> Metric:
    return make_metric()


@pytest.fixture
def replay(metric: Metric) -> Replay:
    return request_replay([metric], entry="Page Viewed", splits=1000, by=None, now=NOW)


def finish(replay: Replay, p_values: Any, *, entered: int = 12_000) -> None:
    """Store a result as a worker does."""
    line = {"name": "Orders <of all>", **sum_up(np.asarray(p_values)).to_json()}
    result = {"customers": 12_000, "entered": entered, "metrics": [line]}
    Replay.objects.filter(pk=replay.pk).update(result=result, finished_at=NOW, done=replay.splits)


def p_values(found: int, *, of: int = 1000) -> Any:
    return np.r_[np.full(found, 0.01), np.full(of - found, 0.5)]


def read(replay: Replay, **headers: str) -> str:
    answer = browse(VIEW).get(f"/replays/{replay.pk}/", headers=headers)
    assert answer.status_code == HTTPStatus.OK
    assert "style=" not in answer.content.decode()
    return answer.content.decode()


def test_asking_makes_a_replay_and_shows_it(metric: Metric) -> None:
    given = {"metrics": [metric.pk], "entry": " Page Viewed ", "splits": 200}
    answer = browse(VIEW, ADD).post("/replays/", given)
    replay = Replay.objects.get()
    assert answer["location"] == f"/replays/{replay.pk}/"
    assert (replay.entry, replay.splits, list(replay.metrics.all())) == (
        "Page Viewed",
        200,
        [metric],
    )
    assert replay.requested_by is not None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"metrics": []}, "This field is required"),
        ({"metrics": [0]}, "not one of the available choices"),
        ({"entry": ""}, "This field is required"),
        ({"entry": "x\x00"}, "Null characters are not allowed"),
        ({"entry": "x" * 256}, "at most 255 characters"),
        ({"splits": 99}, "greater than or equal to 100"),
        ({"splits": 10_001}, "less than or equal to 10000"),
        ({"splits": "many"}, "Enter a whole number"),
    ],
)
def test_what_makes_no_sense_is_explained(
    metric: Metric, change: dict[str, Any], says: str
) -> None:
    given = {"metrics": [metric.pk], "entry": "Page Viewed", "splits": 200} | change
    answer = browse(VIEW, ADD).post("/replays/", given)
    assert answer.status_code == HTTPStatus.OK
    assert says in answer.content.decode()
    assert not Replay.objects.exists()


def test_viewers_see_replays_but_cannot_ask(replay: Replay, metric: Metric) -> None:
    viewer = browse(VIEW)
    page = viewer.get("/replays/").content.decode()
    assert metric.name in page
    assert "<form" not in page.partition("<main")[2]
    given = {"metrics": [metric.pk], "entry": "Page Viewed", "splits": 200}
    assert viewer.post("/replays/", given).status_code == HTTPStatus.FORBIDDEN
    assert Replay.objects.count() == 1


def test_others_see_nothing(replay: Replay) -> None:
    for address in ("/replays/", f"/replays/{replay.pk}/"):
        assert browse(ADD).get(address).status_code == HTTPStatus.FORBIDDEN
        assert browse(VIEW, is_staff=False).get(address).status_code == HTTPStatus.FOUND
        assert Client(headers={"x-forwarded-proto": "https"}).get(address).status_code == (
            HTTPStatus.FOUND
        )


def test_a_replay_that_is_not_there_is_not_found() -> None:
    assert browse(VIEW).get("/replays/0/").status_code == HTTPStatus.NOT_FOUND


def test_a_running_replay_looks_again_by_itself_and_by_a_link(replay: Replay) -> None:
    Replay.objects.filter(pk=replay.pk).update(done=340)
    page = read(replay)
    assert "<b>340</b> of 1,000 splits" in page
    assert 'hx-trigger="every 2s"' in page
    assert f'<a href="/replays/{replay.pk}/">Look again</a>' in page
    live = read(replay, **{"HX-Request": "true"})
    assert "<b>340</b>" in live
    assert "<html" not in live


def test_a_finished_replay_is_said_in_words_first(replay: Replay) -> None:
    finish(replay, p_values(48))
    page = read(replay)
    sentence = (
        "✓ Of 1,000 random splits of 12,000 customers 4.8% found an effect where there was none; "
        "chance alone gives 3.3% to 6.9%."
    )
    assert sentence in page
    assert page.index(sentence) < page.index("<table") < page.index("<svg")
    assert "every 2s" not in page
    assert "Orders &lt;of all&gt;" in page
    assert "A random" not in page


@pytest.mark.parametrize(
    ("found", "says"), [(120, "too many: an experiment"), (3, "too few: an experiment")]
)
def test_a_share_outside_its_band_is_a_warning(replay: Replay, found: int, says: str) -> None:
    finish(replay, p_values(found))
    page = read(replay)
    assert "⚠" in page
    assert says in page


def test_splits_without_an_estimate_are_counted(replay: Replay) -> None:
    finish(replay, np.r_[p_values(50), np.full(17, np.nan)])
    assert '<th scope="row">Splits without an estimate</th><td>17</td>' in read(replay)
    finish(replay, np.full(100, np.nan))
    page = read(replay)
    assert "In no split was there enough to compare." in page
    assert "<svg" not in page


def test_a_sample_is_called_one(replay: Replay) -> None:
    finish(replay, p_values(50), entered=1_234_567)
    assert "A random 12,000 of the 1,234,567 customers who entered." in read(replay)


def test_a_replay_that_could_not_be_done_says_why(replay: Replay) -> None:
    why = "Only 7 customers had the event."
    Replay.objects.filter(pk=replay.pk).update(result={"error": why}, finished_at=NOW)
    assert why in read(replay)
    assert "failed" in browse(VIEW).get("/replays/").content.decode()
