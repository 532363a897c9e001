"""Customers get the list of the one version that is served."""

import asyncio

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg import AsyncConnection

from recommender.ranking.learning import train_next
from recommender.ranking.lifecycle import request_version, serve_version
from recommender.ranking.models import RankerVersion, Ranking, Status, TopPicks
from recommender.ranking.reading import Picks, read_picks
from tests.makers import NOW, make_customer
from tests.recommender.ranking.shops import make_ranking, make_shop

pytestmark = pytest.mark.django_db(transaction=True)


def read(ranking: Ranking, *ids: int) -> dict[int, Picks]:
    async def ask() -> dict[int, Picks]:
        name = connection.settings_dict["NAME"]
        async with await AsyncConnection.connect(settings.DATABASE_URL, dbname=name) as session:
            return await read_picks(session, ranking.key, ids)

    return asyncio.run(ask())


def trained(ranking: Ranking) -> RankerVersion:
    request_version(ranking, kind="markov", hyperparameters={}, by=None, now=NOW)
    version = train_next(now=NOW)
    assert version is not None
    assert version.status == Status.ADMITTED
    return version


def test_nothing_is_shown_until_a_version_is_served() -> None:
    people = make_shop()
    ranking = make_ranking()
    version = trained(ranking)
    assert read(ranking, people[0].pk) == {}
    serve_version(version, now=NOW)
    picks = TopPicks.objects.get(version=version, customer=people[0])
    assert read(ranking, people[0].pk) == {
        people[0].pk: Picks(1, tuple(picks.items), tuple(picks.scores))
    }


def test_somebody_unknown_gets_the_list_of_newcomers() -> None:
    make_shop()
    ranking, stranger = make_ranking(), make_customer()
    version = trained(ranking)
    serve_version(version, now=NOW)
    newcomers = TopPicks.objects.get(version=version, customer=None)
    assert read(ranking, stranger.pk)[stranger.pk].items == tuple(newcomers.items)


def test_a_half_published_version_is_never_seen() -> None:
    people = make_shop()
    ranking = make_ranking()
    first = trained(ranking)
    serve_version(first, now=NOW)
    with psycopg.connect(settings.DATABASE_URL, dbname=connection.settings_dict["NAME"]) as worker:
        # Another worker has retired the first one and taken its lists, and has not committed yet.
        retire = "UPDATE recommender_rankerversion SET status = 'retired' WHERE id = %s"
        worker.execute(retire, [first.pk])
        worker.execute("DELETE FROM recommender_toppicks WHERE version_id = %s", [first.pk])
        assert read(ranking, people[0].pk)[people[0].pk].version == 1
        worker.rollback()
