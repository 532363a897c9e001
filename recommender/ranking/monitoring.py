"""Look after served rankers: whether what they meet, and what they are worth, is as it was."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import msgspec
import numpy as np
from django.db.models import Max, Q

from recommender.listing.reranking import Followers
from recommender.models.rankings import RankerCheck, RankerVersion, Status
from recommender.rankers.storing import from_bytes
from recommender.ranking.drift import MOVED, Drift
from recommender.ranking.interactions import SiteData, read_site
from recommender.ranking.outcomes import Outcome, read_outcome
from recommender.ranking.profiles import Profile, Recent, best_scores, compare, renumber

logger = logging.getLogger(__name__)

CHECK_EVERY = timedelta(hours=20)
KEPT = 30
# A ranker that should have learned anew so many times and has not is stale; one that never is to,
# after so many days.
MISSED = 3
STALE = timedelta(days=30)
# Of what people met lately, as little may be in any list, or unknown to the ranker.
LEAST_COVERAGE = 0.2
MOST_UNKNOWN = 0.3
# It is worth so little of what its trial promised, by more than chance, with so many people.
LEAST_KEPT = 0.5
LEAST_PEOPLE = 100
TRIED_AT = 10  # places of the list, by the trial's recall


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was measured, and whether somebody should look at it.

    `value` is None where nothing can be told; the words say what it is, and why it matters.
    """

    name: str
    value: float | None
    words: str
    is_alarm: bool = False


def check_due(*, now: datetime) -> int:
    """Check every served version that was not checked lately; return how many raise an alarm."""
    served = RankerVersion.objects.filter(status=Status.SERVED).annotate(
        last=Max("checks__checked_at")
    )
    alarms = 0
    for version in served.filter(Q(last=None) | Q(last__lt=now - CHECK_EVERY)).order_by("pk"):
        try:
            alarms += bool(check_version(version, now=now).alarms)
        except Exception:
            # One damaged ranker must not keep the others from being looked after.
            logger.exception("%s could not be checked", version)
    return alarms


def check_version(version: RankerVersion, *, now: datetime) -> RankerCheck:
    """Measure a version, store what is found, and say what is wrong to whoever reads the log."""
    findings = [*_find_age(version, now=now), *_find_drift(version, now=now)]
    findings += _judge_outcome(version, read_outcome(version, now=now))
    check = RankerCheck.objects.create(
        version=version,
        checked_at=now,
        findings=[asdict(finding) for finding in findings],
        alarms=[finding.words for finding in findings if finding.is_alarm],
    )
    for words in check.alarms:
        logger.error("%s: %s", version, words)
    old = version.checks.all()[KEPT:]
    RankerCheck.objects.filter(pk__in=[one.pk for one in old]).delete()
    return check


def _find_age(version: RankerVersion, *, now: datetime) -> Iterator[Finding]:
    age = now - version.requested_at
    hours = version.ranking.refresh_hours
    most = timedelta(hours=MISSED * hours) if hours else STALE
    days = age / timedelta(days=1)
    words = f"It learned from events until {days:.1f} days ago"
    if age > most:
        words = f"{words}: newer trainings failed, or none is made"
    yield Finding("age in days", days, f"{words}.", is_alarm=age > most)


def _find_drift(version: RankerVersion, *, now: datetime) -> Iterator[Finding]:
    """Compare the last days with those before the training."""
    if version.profile is None or version.state is None or version.followers is None:
        return
    ranking = version.ranking
    try:
        data = read_site(
            ranking.event_weights,
            since=now - timedelta(days=ranking.window_days),
            until=now,
            per_customer=ranking.events_per_customer,
        )
    except ValueError as error:
        yield Finding("events", 0.0, str(error), is_alarm=True)
        return
    recent = Recent(data, until=now)
    keys = Followers.from_bytes(bytes(version.followers)).keys
    ranker = from_bytes(bytes(version.state))
    scores = best_scores(ranker, renumber(data, keys).of_customers(recent.customers))
    before = msgspec.convert(version.profile, Profile)
    for name, drift in compare(before, recent, scores):
        yield _say_drift(name, drift)
    yield from _find_coverage(version, data, recent, keys)


def _say_drift(name: str, drift: Drift | None) -> Finding:
    if drift is None:
        return Finding(name, None, f"Of {name} there is too little to compare.")
    ks = "" if drift.ks is None else f", KS {drift.ks:.2f} (p = {drift.ks_p_value:.2g})"
    measured = f"PSI {drift.psi:.2f} (p = {drift.p_value:.2g}){ks}"
    if drift.is_large:
        words = f"The {name} are not what they were: {measured}."
        return Finding(name, drift.psi, words, is_alarm=True)
    verb = "moved, perhaps by chance" if drift.psi > MOVED else "are about what they were"
    return Finding(name, drift.psi, f"The {name} {verb}: {measured}.")


def _find_coverage(
    version: RankerVersion, data: SiteData, recent: Recent, keys: Sequence[str]
) -> Iterator[Finding]:
    """Say how much of what people meet the ranker knows, and how much of it is in any list."""
    met = [data.items[item] for item in recent.items.tolist()]
    if not met:
        yield Finding("coverage", None, "Nobody did anything lately.", is_alarm=True)
        return
    unknown = 1 - np.isin(met, list(keys)).mean()
    yield Finding(
        "unknown products",
        float(unknown),
        f"{unknown:.0%} of the last days' events are about products that it does not know.",
        is_alarm=bool(unknown > MOST_UNKNOWN),
    )
    listed = version.find_listed()
    products = set(met)
    covered = len(products & listed) / len(products)
    yield Finding(
        "coverage",
        covered,
        f"{covered:.0%} of the products that people met lately are in somebody's list.",
        is_alarm=covered < LEAST_COVERAGE,
    )


def _judge_outcome(version: RankerVersion, outcome: Outcome) -> Iterator[Finding]:
    """Hold what people did against what the trial promised."""
    if not outcome.shown:
        yield Finding("shown", 0.0, "No campaign showed its products lately.")
        return
    followed, bought = outcome.followed / outcome.shown, outcome.bought / outcome.shown
    yield Finding(
        "click-through rate",
        followed,
        f"Of {outcome.shown:,} people who were shown its products {followed:.1%} did something "
        "with one of them within a day.",
    )
    yield Finding("conversion", bought, f"And {bought:.1%} ordered one.")
    yield _judge_recall(version, outcome)


def _judge_recall(version: RankerVersion, outcome: Outcome) -> Finding:
    name = "recall of what was shown"
    promised = version.metrics.get("this version", {}).get(f"recall@{TRIED_AT}")
    n = len(outcome.recalls)
    if promised is None or n < LEAST_PEOPLE:
        return Finding(name, None, f"Only {n} of them met something new: too few to judge by.")
    # Of a shorter list less was promised, and no less than its part: the first places hold most.
    promised *= min(1.0, outcome.places / TRIED_AT)
    mean = float(outcome.recalls.mean())
    high = mean + 1.96 * float(outcome.recalls.std(ddof=1)) / np.sqrt(n)
    words = (
        f"{mean:.1%} of what {n:,} people met next had been shown to them (at most {high:.1%}, "
        f"with 95% confidence); by its trial it should be {promised:.1%}"
    )
    is_alarm = bool(high < LEAST_KEPT * promised)
    return Finding(name, mean, f"{words}.", is_alarm)
