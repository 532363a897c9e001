"""Bring versions of rankers from the wish to the shop and back: the only writer of their status."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, Q

from recommender.models.rankings import RankerVersion, Ranking, Status
from recommender.rankers import NETWORKS, load_ranker
from recommender.rankers.base import check_settings
from recommender.ranking.gate import Admission

# A worker that says nothing for so long is dead, and another one begins anew.
LEASE = timedelta(minutes=15)
# A training that ends its worker three times will do so again.
MOST_ATTEMPTS = 3
# Versions that were served and can be again; older ones lose what they learned.
KEPT_RETIRED = 3

CAN_BE_SERVED = (Status.ADMITTED, Status.RETIRED)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training found: whether it is good enough, where it comes from, what it learned."""

    admission: Admission
    lineage: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    state: bytes
    followers: bytes
    profile: dict[str, Any] | None = None


def request_version(
    ranking: Ranking, *, kind: str, hyperparameters: dict[str, Any], by: User | None, now: datetime
) -> RankerVersion:
    """Ask for a ranker to be trained.

    A worker looks at a network's settings, because only workers load torch.

    Raises:
        ValidationError: There is no such ranker, or it does not take these settings.
    """
    try:
        if kind not in NETWORKS:
            check_settings(load_ranker(kind), hyperparameters)
    except ValueError as error:
        raise ValidationError(str(error)) from error
    with transaction.atomic():
        Ranking.objects.select_for_update().get(pk=ranking.pk)
        last = ranking.versions.aggregate(last=Max("number"))["last"] or 0
        return RankerVersion.objects.create(
            ranking=ranking,
            number=last + 1,
            kind=kind,
            hyperparameters=hyperparameters,
            requested_at=now,
            requested_by=by,
        )


def claim_version(*, now: datetime) -> RankerVersion | None:
    """Take the version that waits longest, or one whose worker died; None if there is none."""
    with transaction.atomic():
        due = Q(status=Status.WAITING) | Q(status=Status.TRAINING, leased_until__lt=now)
        waiting = (
            RankerVersion.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(due)
            .select_related("ranking")
            .order_by("requested_at", "pk")
        )
        while (version := waiting.first()) is not None and version.attempts >= MOST_ATTEMPTS:
            _write(version, status=Status.FAILED, reasons=["Its worker ended each time it tried."])
        if version is None:
            return None
        _write(
            version,
            status=Status.TRAINING,
            attempts=version.attempts + 1,
            leased_until=now + LEASE,
            progress=0.0,
            stage="",
        )
    return version


def report_progress(version: RankerVersion, *, part: float, stage: str, now: datetime) -> None:
    """Say how far a training is, which also says that its worker lives."""
    RankerVersion.objects.filter(pk=version.pk, status=Status.TRAINING).update(
        progress=part, stage=stage, leased_until=now + LEASE
    )


def fail_version(version: RankerVersion, *, reason: str) -> None:
    """Give a training up; asking for a new version tries again."""
    with transaction.atomic():
        found = _lock(version)
        if found.status == Status.TRAINING:
            _write(found, status=Status.FAILED, reasons=[reason], leased_until=None)


def settle_version(version: RankerVersion, trained: Trained, *, now: datetime) -> bool:
    """Admit or reject a version; False if another worker did so meanwhile.

    It belongs into the transaction that stores its lists. What is rejected keeps its numbers and
    loses what it learned.
    """
    found = _lock(version)
    if found.status != Status.TRAINING:
        return False
    admitted = trained.admission.is_admitted
    _write(
        found,
        status=Status.ADMITTED if admitted else Status.REJECTED,
        reasons=list(trained.admission.reasons),
        lineage=trained.lineage,
        metrics=trained.metrics,
        state=trained.state if admitted else None,
        followers=trained.followers if admitted else None,
        profile=trained.profile,
        trained_at=now,
        progress=1.0,
        stage="",
        leased_until=None,
    )
    return True


def serve_version(version: RankerVersion, *, now: datetime) -> None:
    """Show a version's lists from now on, those of the one before no more.

    Both happen in one transaction, so that whoever reads finds exactly one. An earlier version that
    still has its lists can be served again.

    Raises:
        ValidationError: It was not admitted, or its lists are gone.
    """
    with transaction.atomic():
        Ranking.objects.select_for_update().get(pk=version.ranking_id)
        found = _lock(version)
        if found.status not in CAN_BE_SERVED or found.state is None:
            raise ValidationError(
                f"{found} is {found.get_status_display().lower()} and cannot be served."
            )
        for before in RankerVersion.objects.filter(
            ranking=found.ranking_id, status=Status.SERVED
        ).select_for_update():
            _write(before, status=Status.RETIRED)
        _write(found, status=Status.SERVED, served_at=now)
        _forget_old(found.ranking_id)


def request_refreshes(*, now: datetime) -> list[RankerVersion]:
    """Ask for served rankers to learn anew where the last training is long ago."""
    served = RankerVersion.objects.filter(status=Status.SERVED, ranking__refresh_hours__gt=0)
    due = [
        version
        for version in served.select_related("ranking").annotate(
            last=Max("ranking__versions__requested_at")
        )
        if version.last <= now - timedelta(hours=version.ranking.refresh_hours)
    ]
    return [
        request_version(
            version.ranking,
            kind=version.kind,
            hyperparameters=version.hyperparameters,
            by=None,
            now=now,
        )
        for version in due
    ]


def _forget_old(ranking_id: int) -> None:
    """Take lists and learned arrays from versions that were retired long ago."""
    retired = RankerVersion.objects.filter(ranking=ranking_id, status=Status.RETIRED)
    for old in retired.order_by("-served_at", "-number")[KEPT_RETIRED:]:
        old.picks.all().delete()
        _write(old, state=None, followers=None)


def _lock(version: RankerVersion) -> RankerVersion:
    return RankerVersion.objects.select_for_update().get(pk=version.pk)


def _write(version: RankerVersion, **values: Any) -> None:
    for name, value in values.items():
        setattr(version, name, value)
    version.save(update_fields=list(values))
