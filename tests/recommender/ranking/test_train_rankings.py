"""Rankings are trained by a command as by a worker, also by several processes together."""

import io
import os
import subprocess
import sys
from urllib.parse import quote, urlsplit, urlunsplit

import numpy as np
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from recommender.models.rankings import RankerVersion, Ranking, Status
from recommender.ranking.learning import train_next
from recommender.ranking.lifecycle import request_version
from tests.makers import NOW
from tests.recommender.ranking.shops import make_ranking, make_shop

TOWERS = {"size": 16, "epochs": 3, "dropout": 0.0, "batch": 128}


def ask(ranking: Ranking, kind: str, **given: float) -> RankerVersion:
    return request_version(ranking, kind=kind, hyperparameters=given, by=None, now=NOW)


@pytest.mark.django_db
def test_all_that_waits_is_trained_and_told() -> None:
    make_shop()
    ranking = make_ranking()
    ask(ranking, "markov")
    ask(ranking, "popularity")
    said = io.StringIO()
    call_command("train_rankings", stdout=said)
    admitted, rejected = ranking.versions.order_by("number")
    assert (admitted.status, rejected.status) == (Status.ADMITTED, Status.REJECTED)
    assert said.getvalue().splitlines()[0].startswith("Top picks v1 (markov): admitted.")


def train_with_two_processes() -> str:
    parts = urlsplit(settings.DATABASE_URL)
    name = quote(connection.settings_dict["NAME"])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "manage.py", "train_rankings"],
        env={
            **os.environ,
            "DATABASE_URL": urlunsplit(parts._replace(path=f"/{name}")),
            "REDIS_URL": settings.REDIS_URL,
            "OMP_NUM_THREADS": "1",
        },
        cwd=settings.BASE_DIR,
        check=True,
        timeout=180,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_processes_train_what_one_does_and_write_it_once() -> None:
    people = make_shop()
    ranking = make_ranking()
    alone = ask(ranking, "two_tower", **TOWERS)
    assert train_next(now=NOW) == alone
    together = ask(ranking, "two_tower", **TOWERS)
    said = train_with_two_processes()
    alone.refresh_from_db()
    together.refresh_from_db()
    assert said.count("v2 (two_tower)") == 1
    assert together.status == alone.status
    assert together.picks.count() == alone.picks.count() >= min(len(people), 12)
    first, second = (each.metrics["this version"]["ndcg@10"] for each in (alone, together))
    assert first == pytest.approx(second, abs=0.01)
    lists = [each.picks.get(customer=people[0]).scores for each in (alone, together)]
    np.testing.assert_allclose(lists[0], lists[1], atol=1e-3)
