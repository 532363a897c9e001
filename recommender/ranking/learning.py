"""Train one version: read, try it against its rivals, learn from everything, make all lists."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from audience.copying import copy_rows
from audience.models import Customer
from recommender.arrays import IntArray, ScoreArray
from recommender.histories import Histories
from recommender.judging import judge
from recommender.rankers import make_ranker
from recommender.rankers.base import Ranker
from recommender.rankers.markov import Markov
from recommender.rankers.storing import to_bytes
from recommender.ranking.gate import Admission, admit, split_for_trial
from recommender.ranking.interactions import SiteData, read_site
from recommender.ranking.lifecycle import (
    Trained,
    claim_version,
    fail_version,
    report_progress,
    serve_version,
    settle_version,
)
from recommender.ranking.models import RankerVersion, Status, TopPicks
from recommender.reranking import Followers

logger = logging.getLogger(__name__)

# What every other ranker has to beat before it may be served.
GATE: tuple[str, dict[str, Any]] = ("markov", {})
# So many customers' lists of a rejected version are kept, to be looked at.
EXAMPLES = 12
LISTS_AT_ONCE = 4096

Report = Callable[[float, str], None]


def train_next(*, now: datetime) -> RankerVersion | None:
    """Train the next version that waits, if any, and return it.

    What it learned, its lists and its status are stored together: a worker that dies before has
    done nothing, and what is half stored is never seen.
    """
    version = claim_version(now=now)
    if version is None:
        return None
    try:
        _train(version, now=now)
    except ValueError as error:
        # Too little data, or settings that do not suit it: said to whoever asked.
        fail_version(version, reason=str(error))
    except Exception:
        fail_version(version, reason="An error that nobody foresaw; the worker's log has it.")
        raise
    version.refresh_from_db()
    return version


def _train(version: RankerVersion, *, now: datetime) -> None:
    def report(part: float, stage: str) -> None:
        report_progress(version, part=part, stage=stage, now=timezone.now())

    report(0.0, "Reading events")
    ranking = version.ranking
    data = read_site(
        ranking.event_weights,
        since=now - timedelta(days=ranking.window_days),
        until=now,
        per_customer=ranking.events_per_customer,
    )
    champion = ranking.versions.filter(status=Status.SERVED).first()
    is_refresh = champion is not None and champion.recipe == version.recipe
    metrics, admission = _try(version, champion, data, report)
    report(0.7, "Learning from all events")
    ranker = make_ranker(*version.recipe).fit(data.histories, data.facts)
    report(0.8, "Making lists")
    trained = Trained(
        admission=admission,
        lineage=_lineage(version, data, champion=champion, now=now),
        metrics=metrics,
        state=to_bytes(ranker),
        followers=Followers.of(Markov().fit(data.histories).leads, data.items).to_bytes(),
    )
    with transaction.atomic():
        if not settle_version(version, trained, now=now):
            return
        everybody = np.arange(len(data.customers), dtype=np.int64)
        shown = everybody if admission.is_admitted else everybody[:EXAMPLES]
        _store_lists(version, ranker, data, shown)
    if is_refresh and admission.is_admitted:
        serve_version(version, now=now)


def _try(
    version: RankerVersion, champion: RankerVersion | None, data: SiteData, report: Report
) -> tuple[dict[str, dict[str, float]], Admission]:
    """Train the version and its rivals on the same earlier events, and judge them on the later."""
    split = split_for_trial(data.histories)
    recipes = {"this version": version.recipe}
    if champion is not None and champion.recipe != version.recipe:
        recipes[f"version {champion.number} ({champion.kind}), which is served"] = champion.recipe
    if GATE not in (version.recipe, *recipes.values()) and champion is None:
        recipes["the Markov model"] = GATE
    judged = {}
    for place, (name, (kind, settings)) in enumerate(recipes.items()):
        report(0.1 + 0.6 * place / len(recipes), f"Trying {name}")
        ranker = make_ranker(kind, settings).fit(split.learned, data.facts)
        judged[name] = judge(ranker, split, facts=data.facts)
    metrics = {name: each.means for name, each in judged.items()}
    challenger = judged.pop("this version")
    return metrics, admit(challenger, judged)


def _lineage(
    version: RankerVersion, data: SiteData, *, champion: RankerVersion | None, now: datetime
) -> dict[str, Any]:
    """Say what a version was learned from, so that it can be made again."""
    since = now - timedelta(days=version.ranking.window_days)
    return {
        "since": since.isoformat(),
        "until": now.isoformat(),
        "events": len(data.histories.items),
        "customers": len(data.customers),
        "products": len(data.items),
        "digest": data.digest,
        "champion": None if champion is None else champion.number,
    }


def _store_lists(
    version: RankerVersion, ranker: Ranker, data: SiteData, customers: IntArray
) -> None:
    """Store the lists of some customers, and the one of everybody who is not known yet."""
    # Some may have been erased since their events were read.
    there = set(Customer.objects.filter(pk__in=data.customers).values_list("pk", flat=True))
    ids = np.array(data.customers)
    copy_rows(
        TopPicks._meta.db_table,
        ("version_id", "customer_id", "items", "scores"),
        (
            (version.pk, customer, items, scores)
            for customer, items, scores in _lists(version, ranker, data, customers, ids)
            if customer is None or customer in there
        ),
    )


def _lists(
    version: RankerVersion, ranker: Ranker, data: SiteData, customers: IntArray, ids: IntArray
) -> Iterator[tuple[int | None, list[str], list[float]]]:
    k = version.ranking.shown
    nobody = Histories.of([[]], n_items=len(data.items))
    slates = ranker.recommend(nobody, k=k)
    yield None, *_named(slates.items[0], slates.scores[0], data.items)
    for first in range(0, len(customers), LISTS_AT_ONCE):
        some = customers[first : first + LISTS_AT_ONCE]
        slates = ranker.recommend(data.histories.of_customers(some), k=k)
        for customer, items, scores in zip(ids[some], slates.items, slates.scores, strict=True):
            yield int(customer), *_named(items, scores, data.items)


def _named(
    items: IntArray, scores: ScoreArray, keys: tuple[str, ...]
) -> tuple[list[str], list[float]]:
    shown = items >= 0
    return [keys[item] for item in items[shown].tolist()], scores[shown].tolist()
