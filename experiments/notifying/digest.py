"""The weekly digest: what was decided, what is about to be, and what needs a look; by mail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.template.loader import render_to_string
from django.urls import reverse

from experiments.models import LIVE, Analysis, Experiment, Subscriber
from experiments.notifying.outbox import DIGEST, mail
from experiments.wording import say_difference, say_lift

WEEK = timedelta(days=7)
# Monday morning, UTC.
HOUR = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """One experiment in the digest, in words."""

    name: str
    url: str
    status: str
    sentence: str
    effects: Sequence[str]
    days_left: int | None


def send_digests(*, now: datetime) -> int:
    """Write this week's digest to everybody who has not had it; return to how many."""
    monday = now.date() - timedelta(days=now.weekday())
    if now < datetime.combine(monday, datetime.min.time(), now.tzinfo) + timedelta(hours=HOUR):
        return 0
    waiting = Subscriber.objects.filter(unsubscribed_at=None).exclude(digested_week=monday)
    # A new subscriber's first digest is the next Monday's.
    waiting = waiting.filter(
        created_at__lt=datetime.combine(monday, datetime.min.time(), now.tzinfo)
    )
    if not waiting.exists():
        return 0
    content = write_digest(now=now, week=monday)
    sent = 0
    for subscriber in waiting:
        with transaction.atomic():
            mail(
                DIGEST,
                f"digest.{monday}.{subscriber.pk}",
                subscriber.email,
                address_to(subscriber, content),
                now=now,
            )
            Subscriber.objects.filter(pk=subscriber.pk).update(digested_week=monday)
        sent += 1
    return sent


def write_digest(*, now: datetime, week: date) -> dict[str, Any]:
    """Gather what the digest of a week says, for its templates."""
    newest = Analysis.objects.filter(experiment=OuterRef("pk")).order_by("-computed_at")
    experiments = Experiment.objects.annotate(
        summary=Subquery(newest.values("summary")[:1])
    ).order_by("started_at", "pk")
    ended = experiments.filter(stopped_at__gte=now - WEEK)
    return {
        "week": week,
        "ended": [_entry(e, now=now) for e in ended],
        "running": [_entry(e, now=now) for e in experiments.filter(status__in=LIVE)],
        "site": settings.SITE_URL,
    }


def address_to(subscriber: Subscriber, content: dict[str, Any]) -> dict[str, Any]:
    """Write the digest as a mail to one subscriber, with a way out of it."""
    leave = settings.SITE_URL + reverse("digest-leave", args=[subscriber.token])
    context = {**content, "leave": leave}
    return {
        "subject": f"Experiments, week of {content['week']:%-d %B %Y}",
        "text": render_to_string("experiments/digest/mail.txt", context),
        "html": render_to_string("experiments/digest/mail.html", context),
        "headers": {
            "List-Unsubscribe": f"<{leave}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    }


def _entry(experiment: Any, *, now: datetime) -> Entry:
    summary = experiment.summary or {}
    hidden_until = experiment.hidden_until(now)
    # Whoever reads a mail may not be allowed to peek.
    is_hidden = hidden_until is not None and not summary.get("harmful")
    if is_hidden:
        sentence = f"Results are hidden until {hidden_until:%-d %B}."
    else:
        sentence = summary.get("sentence", "There is no analysis yet.")
    names = {arm.key: arm.name for arm in experiment.arms.all()}
    return Entry(
        name=experiment.name,
        url=settings.SITE_URL + experiment.get_absolute_url(),
        status=experiment.get_outcome_display() or experiment.get_status_display(),
        sentence=sentence,
        effects=()
        if hidden_until is not None
        else [
            f"{names.get(key, key)}: {said}"
            for key, arm in summary.get("arms", {}).items()
            if (said := say_arm(arm, summary["unit"]))
        ],
        days_left=summary.get("days_left"),
    )


def say_arm(arm: dict[str, Any], unit: str) -> str:
    """Say an arm's effect with its interval; empty without an estimate."""
    result = arm["result"]
    if result["kind"] != "estimate":
        return ""
    if result["relative"] is not None:
        ends = result["relative_interval"]
        return (
            f"{say_lift(result['relative'])} ({say_lift(ends['low'])} to {say_lift(ends['high'])})"
        )
    ends = result["difference_interval"]
    low, high = (say_difference(ends[end], unit=unit) for end in ("low", "high"))
    return f"{say_difference(result['difference'], unit=unit)} ({low} to {high})"
