"""Train one version: read, try it against its rivals, learn from everything, make all lists."""

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from psycopg.types.json import Jsonb

from audience.importing.copying import copy_rows
from audience.models import Customer
from recommender.arrays import IntArray, ScoreArray
from recommender.interactions.histories import Histories
from recommender.interactions.splits import by_amount
from recommender.judging.judge import group_means, judge
from recommender.listing.reranking import Followers
from recommender.models.rankings import BY_HISTORY, RankerVersion, TopPicks
from recommender.rankers import make_ranker
from recommender.rankers.base import Ranker, TrainingContext
from recommender.rankers.markov import Markov
from recommender.rankers.popularity import Popularity
from recommender.rankers.storing import to_bytes
from recommender.ranking.gate import MEASURE, Admission, admit, split_for_trial
from recommender.ranking.interactions import SiteData, read_site
from recommender.ranking.lifecycle import (
    Trained,
    claim_version,
    fail_version,
    report_progress,
    serve_version,
    settle_version,
)
from recommender.ranking.profiles import describe
from recommender.ranking.reasons import find_reasons, to_json

logger = logging.getLogger(__name__)

# Of so many customers lists of a rejected version are kept, and reasons of any, to be looked at.
EXAMPLES = 12
LISTS_AT_ONCE = 4096

# Of all the work of a version, what one training is at least.
STAGE_PART = 0.2

Report = Callable[[float, str], None]
Recipe = tuple[str, dict[str, Any]]

# What every other ranker has to beat before it may be served.
GATE: Recipe = ("markov", {})


# Events that come in late may make processes read different ones.
MOST_READINGS = 5


def agree_alone(digest: str) -> bool:
    """Agree, as who trains alone does, on what was read."""
    return True


def show_nobody(part: float, stage: str) -> None:
    """Take a report that nobody waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a process does in a training that several may share (`train_rankings`).

    Attributes:
        is_first: Whether it judges and writes; others only help networks to learn.
        device: Where networks learn; None is where the site's settings say.
        agrees: Tells whether all processes read events with the same digest; all of them ask.
        show: Is told how far it is, besides the version's own row.
    """

    is_first: bool = True
    device: str | None = None
    agrees: Callable[[str], bool] = agree_alone
    show: Report = show_nobody


ALONE = Role()


class Training:
    """The trainings that one version takes: each goes on from its checkpoint if there is one."""

    def __init__(self, version: RankerVersion, data: SiteData, report: Report, role: Role) -> None:
        """Keep the checkpoints where only this version with these events looks for them."""
        self._facts = data.facts
        self._report = report
        name = f"{version.pk}-{data.digest[:16]}"
        self._directory = settings.DATA_DIR / "training" / name
        self._directory.mkdir(parents=True, exist_ok=True)
        self._device = role.device or settings.LEARNING_DEVICE
        folder = settings.TENSORBOARD_DIR
        self._events = folder and folder / version.ranking.key / f"version-{version.number}"

    def fit(self, recipe: Recipe, histories: Histories, *, stage: str, at: float) -> Ranker:
        """Let a ranker learn; `at` is the part of all the work that is done before."""
        self._report(at, stage)
        ranker = make_ranker(*recipe)
        name = stage.replace(" ", "-")
        ranker.prepare(
            TrainingContext(
                checkpoint=self._directory / f"{name}.safetensors",
                device=self._device,
                report=lambda part: self._report(at + STAGE_PART * part, stage),
                events=self._events and self._events / name,
                sentence_model=settings.SENTENCE_MODEL,
            )
        )
        return ranker.fit(histories, self._facts)

    def forget(self) -> None:
        """Remove the checkpoints of a version that is settled."""
        shutil.rmtree(self._directory, ignore_errors=True)


def train_next(*, now: datetime) -> RankerVersion | None:
    """Train the next version that waits, if any, and return it."""
    version = claim_version(now=now)
    if version is not None:
        train_version(version, now=now)
    return version


def train_version(version: RankerVersion, *, now: datetime, role: Role = ALONE) -> None:
    """Train a version that was claimed.

    What it learned, its lists and its status are stored together: a worker that dies before has
    done nothing, and what is half stored is never seen.
    """
    try:
        _train(version, now=now, role=role)
    except ValueError as error:
        # Too little data, or settings that do not suit it: said to whoever asked.
        if role.is_first:
            fail_version(version, reason=str(error))
    except Exception:
        if role.is_first:
            fail_version(version, reason="An error that nobody foresaw; the worker's log has it.")
        raise
    version.refresh_from_db()


def _train(version: RankerVersion, *, now: datetime, role: Role) -> None:
    def report(part: float, stage: str) -> None:
        if role.is_first:
            report_progress(version, part=part, stage=stage, now=timezone.now())
            role.show(part, stage)

    report(0.0, "Reading events")
    data = _read(version, role)
    champion = version.ranking.served_version
    is_refresh = champion is not None and champion.recipe == version.recipe
    training = Training(version, data, report, role)
    metrics, admission = _try(version, champion, data, training, role)
    ranker = training.fit(version.recipe, data.histories, stage="Learning from all events", at=0.7)
    if not role.is_first:
        return
    report(0.9, "Making lists")
    trained = Trained(
        admission=admission,
        lineage=_lineage(version, data, champion=champion),
        metrics=metrics,
        state=to_bytes(ranker),
        followers=_followers(data),
        profile=msgspec.to_builtins(describe(data, ranker, until=version.requested_at)),
    )
    with transaction.atomic():
        if not settle_version(version, trained, now=now):
            return
        everybody = np.arange(len(data.customers), dtype=np.int64)
        shown = everybody if admission.is_admitted else everybody[:EXAMPLES]
        _store_lists(version, ranker, data, shown)
    training.forget()
    if is_refresh and admission.is_admitted:
        serve_version(version, now=now)


def _read(version: RankerVersion, role: Role) -> SiteData:
    """Read the events that a version learns from: all processes the same."""
    ranking = version.ranking
    # Whoever tries again after a worker died reads the same, and goes on from its checkpoints.
    until = version.requested_at
    for _ in range(MOST_READINGS):
        data = read_site(
            ranking.event_weights,
            since=until - timedelta(days=ranking.window_days),
            until=until,
            per_customer=ranking.events_per_customer,
        )
        if role.agrees(data.digest):
            return data
    raise ValueError("Events came in all the time while several processes read them; ask again.")


def _try(
    version: RankerVersion,
    champion: RankerVersion | None,
    data: SiteData,
    training: Training,
    role: Role,
) -> tuple[dict[str, dict[str, float]], Admission]:
    """Train the version and its rivals on the same earlier events, and judge them on the later."""
    split = split_for_trial(data.histories)
    recipes = _recipes(version, champion)
    judged = {}
    for place, (name, recipe) in enumerate(recipes.items()):
        at = 0.1 + 0.6 * place / len(recipes)
        ranker = training.fit(recipe, split.learned, stage=f"Trying {name}", at=at)
        if role.is_first:
            judged[name] = judge(ranker, split, facts=data.facts)
    if not role.is_first:
        return {}, Admission(False, ())
    groups = by_amount(split.asked)
    metrics = {
        name: each.means | _by_history(group_means(each.each[MEASURE], groups))
        for name, each in judged.items()
    }
    challenger = judged.pop("this version")
    return metrics, admit(challenger, judged)


def _recipes(version: RankerVersion, champion: RankerVersion | None) -> dict[str, Recipe]:
    """Name what is tried: the version, and whom it has to beat."""
    recipes = {"this version": version.recipe}
    if champion is not None and champion.recipe != version.recipe:
        recipes[f"version {champion.number} ({champion.kind}), which is served"] = champion.recipe
    if GATE not in (version.recipe, *recipes.values()) and champion is None:
        recipes["the Markov model"] = GATE
    return recipes


def _by_history(means: dict[str, float]) -> dict[str, float]:
    return {f"{BY_HISTORY}{group}": mean for group, mean in means.items()}


def _followers(data: SiteData) -> bytes:
    """Make the table by which the web ranks anew, whatever kind of ranker made the lists."""
    leads = Markov().fit(data.histories).leads
    return Followers.of(leads, data.items).to_bytes()


def _lineage(
    version: RankerVersion, data: SiteData, *, champion: RankerVersion | None
) -> dict[str, Any]:
    """Say what a version was learned from, so that it can be made again."""
    until = version.requested_at
    since = until - timedelta(days=version.ranking.window_days)
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
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
    copy_rows(
        TopPicks._meta.db_table,
        ("version_id", "customer_id", "items", "scores", "reasons"),
        (
            (version.pk, *row)
            for row in _lists(version, ranker, data, customers)
            if row[0] is None or row[0] in there
        ),
    )


def _lists(
    version: RankerVersion, ranker: Ranker, data: SiteData, customers: IntArray
) -> Iterator[tuple[int | None, list[str], list[float], Jsonb | None]]:
    k = version.ranking.shown
    nobody = Histories.of([[]], n_items=len(data.items))
    slates = ranker.recommend(nobody, k=k)
    if not np.ptp(slates.scores[slates.items >= 0]):
        # It has nothing to say to somebody of whom nothing is known.
        slates = Popularity().fit(data.histories).recommend(nobody, k=k)
    yield None, *_named(slates.items[0], slates.scores[0], data.items), None
    for first in range(0, len(customers), LISTS_AT_ONCE):
        some = customers[first : first + LISTS_AT_ONCE]
        slates = ranker.recommend(data.histories.of_customers(some), k=k)
        for customer, items, scores in zip(some.tolist(), slates.items, slates.scores, strict=True):
            reasons = None
            if customer < EXAMPLES and items[0] >= 0:
                history = data.histories.of_customers(np.array([customer]))
                why = find_reasons(
                    ranker, history, int(items[0]), keys=data.items, words=data.facts.names
                )
                reasons = Jsonb(to_json(why))
            yield data.customers[customer], *_named(items, scores, data.items), reasons


def _named(
    items: IntArray, scores: ScoreArray, keys: tuple[str, ...]
) -> tuple[list[str], list[float]]:
    shown = items >= 0
    return [keys[item] for item in items[shown].tolist()], scores[shown].tolist()
