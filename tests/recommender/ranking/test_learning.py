"""A version is trained, tried, admitted and stored at once, or not at all."""

import numpy as np
import pytest
from django.core.exceptions import ValidationError

from recommender.listing.reranking import Followers
from recommender.models.rankings import RankerVersion, Ranking, Status, TopPicks
from recommender.rankers.storing import from_bytes
from recommender.ranking import learning
from recommender.ranking.gate import Admission
from recommender.ranking.interactions import read_site
from recommender.ranking.learning import train_next
from recommender.ranking.lifecycle import (
    KEPT_RETIRED,
    LEASE,
    MOST_ATTEMPTS,
    Trained,
    claim_version,
    report_progress,
    request_refreshes,
    request_version,
    serve_version,
    settle_version,
)
from recommender.tasks import train_rankers
from tests.makers import DAY, HOUR, NOW
from tests.recommender.ranking.shops import PRODUCTS, make_ranking, make_shop

pytestmark = pytest.mark.django_db


def ask(ranking: Ranking, kind: str = "markov", **settings: float) -> RankerVersion:
    return request_version(ranking, kind=kind, hyperparameters=settings, by=None, now=NOW)


def train(ranking: Ranking, kind: str = "markov", **settings: float) -> RankerVersion:
    ask(ranking, kind, **settings)
    trained = train_next(now=NOW)
    assert trained is not None
    return trained


def stored(blob: bytes | memoryview | None) -> bytes:
    assert blob is not None
    return bytes(blob)


def test_a_first_markov_model_is_admitted_with_a_list_for_everybody() -> None:
    people = make_shop()
    version = train(make_ranking())
    assert (version.status, version.progress) == (Status.ADMITTED, 1.0)
    assert version.lineage["customers"] == len(people)
    assert version.lineage["products"] == PRODUCTS
    assert version.metrics["this version"]["ndcg@10"] > 0.3
    assert version.picks.count() == len(people) + 1
    assert all(len(picks.items) == 5 for picks in version.picks.all())
    assert all(np.diff(picks.scores).max() <= 0 for picks in version.picks.all())


def test_lists_are_what_the_stored_ranker_says() -> None:
    make_shop()
    ranking = make_ranking()
    version = train(ranking)
    data = read_site(ranking.event_weights, since=NOW - 180 * DAY, until=NOW, per_customer=200)
    slates = from_bytes(stored(version.state)).recommend(data.histories, k=5)
    for row in (0, 100):
        picks = version.picks.get(customer=data.customers[row])
        assert picks.items == [data.items[item] for item in slates.items[row]]
    assert Followers.from_bytes(stored(version.followers)).keys == data.items


def test_newcomers_see_what_is_popular_where_a_ranker_has_nothing_to_say_to_them() -> None:
    make_shop()
    ranking = make_ranking()
    version = train(ranking)
    data = read_site(ranking.event_weights, since=NOW - 180 * DAY, until=NOW, per_customer=200)
    met = np.bincount(data.histories.items)
    newcomers = version.picks.get(customer=None)
    shown = [met[data.items.index(item)] for item in newcomers.items]
    assert shown == sorted(met, reverse=True)[:5]
    assert newcomers.scores[0] > newcomers.scores[-1]


def test_what_does_not_beat_the_markov_model_is_rejected_and_can_be_looked_at() -> None:
    make_shop()
    version = train(make_ranking(), "popularity")
    assert version.status == Status.REJECTED
    assert "does not beat the Markov model" in version.reasons[0]
    assert version.state is None
    assert version.picks.count() == learning.EXAMPLES + 1
    with pytest.raises(ValidationError, match="cannot be served"):
        serve_version(version, now=NOW)


def test_a_challenger_is_tried_against_what_is_served() -> None:
    make_shop()
    ranking = make_ranking()
    serve_version(train(ranking), now=NOW)
    worse = train(ranking, "popularity")
    assert worse.status == Status.REJECTED
    assert "does not beat version 1 (markov), which is served" in worse.reasons[0]
    assert worse.lineage["champion"] == 1


def test_the_same_recipe_learns_anew_and_is_served_at_once() -> None:
    make_shop()
    ranking = make_ranking()
    first = train(ranking)
    serve_version(first, now=NOW)
    assert request_refreshes(now=NOW + HOUR) == []
    (second,) = request_refreshes(now=NOW + DAY)
    train_next(now=NOW + DAY)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.RETIRED, Status.SERVED)


def test_an_earlier_version_can_be_served_again() -> None:
    make_shop()
    ranking = make_ranking()
    first, second = train(ranking), train(ranking)
    serve_version(first, now=NOW)
    serve_version(second, now=NOW + HOUR)
    serve_version(first, now=NOW + 2 * HOUR)
    assert ranking.versions.get(status=Status.SERVED).pk == first.pk


def test_old_versions_lose_their_lists() -> None:
    make_shop()
    ranking = make_ranking()
    versions = []
    for number in range(KEPT_RETIRED + 2):
        version = train(ranking)
        if version.status != Status.SERVED:
            serve_version(version, now=NOW + number * HOUR)
        versions.append(version)
    assert versions[0].picks.count() == 0
    assert versions[1].picks.count() > 0
    with pytest.raises(ValidationError, match="cannot be served"):
        serve_version(versions[0], now=NOW)


def test_too_little_data_is_said_to_whoever_asked() -> None:
    version = train(make_ranking())
    assert version.status == Status.FAILED
    assert version.reasons == ["No event names a product yet, so there is nothing to learn from."]


def test_settings_are_checked_when_asked_for() -> None:
    with pytest.raises(ValidationError, match="Unknown settings: lagz"):
        ask(make_ranking(), lagz=3)


def test_an_error_that_nobody_foresaw_fails_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    make_shop()
    version = ask(make_ranking())
    monkeypatch.setattr(learning, "copy_rows", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_next(now=NOW)
    version.refresh_from_db()
    assert version.status == Status.FAILED
    assert version.state is None
    assert TopPicks.objects.count() == 0


def test_a_version_in_training_is_left_to_its_worker() -> None:
    version = ask(make_ranking())
    assert claim_version(now=NOW) == version
    assert claim_version(now=NOW + LEASE) is None
    report_progress(version, part=0.5, stage="Trying", now=NOW + LEASE)
    assert claim_version(now=NOW + LEASE + HOUR / 10) is None


def test_a_dead_worker_s_version_is_trained_again_a_few_times() -> None:
    version = ask(make_ranking())
    for attempt in range(MOST_ATTEMPTS):
        assert claim_version(now=NOW + attempt * DAY) == version
    other = ask(make_ranking())
    assert claim_version(now=NOW + MOST_ATTEMPTS * DAY) == other
    version.refresh_from_db()
    assert version.status == Status.FAILED


def test_a_version_that_was_settled_meanwhile_stays_as_it_is() -> None:
    version = ask(make_ranking())
    claim_version(now=NOW)
    for is_admitted in (False, True):
        trained = Trained(Admission(is_admitted, ("because",)), {}, {}, b"s", b"f")
        assert settle_version(version, trained, now=NOW) is not is_admitted
    version.refresh_from_db()
    assert version.status == Status.REJECTED


def test_the_task_trains_all_that_wait() -> None:
    ranking = make_ranking()
    ask(ranking)
    ask(ranking)
    assert train_rankers() == 2
    assert not RankerVersion.objects.filter(status=Status.WAITING).exists()
