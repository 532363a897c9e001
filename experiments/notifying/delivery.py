"""Takes what is due from the outbox to its receivers, and tries again where they do not answer."""

import json
import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F

from experiments.models import Endpoint, Notice
from wire.webhooks import Failed, Forbidden, post, sign

# After each failure it waits longer; after the last one it is given up, some three days later.
DELAYS = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
# So long one attempt may take before another worker tries it too.
LEASE = timedelta(minutes=2)
BATCH = 20

logger = logging.getLogger(__name__)


def deliver_due(*, now: datetime) -> int:
    """Try what is due once; return how many were taken.

    A worker that dies in between leaves a notice due again: receivers may see it twice, with the
    same id.
    """
    return sum(_deliver(notice, now=now) for notice in _claim(now))


def _claim(now: datetime) -> list[Notice]:
    with transaction.atomic():
        due = Notice.objects.filter(due_at__lte=now).order_by("due_at")
        claimed = list(due.select_for_update(skip_locked=True, of=("self",))[:BATCH])
        Notice.objects.filter(pk__in=[notice.pk for notice in claimed]).update(
            due_at=now + LEASE, attempts=F("attempts") + 1
        )
    return list(
        Notice.objects.filter(pk__in=[notice.pk for notice in claimed])
        .select_related("endpoint")
        .order_by("pk")
    )


def _deliver(notice: Notice, *, now: datetime) -> bool:
    try:
        if notice.endpoint is not None:
            _post(notice, notice.endpoint, now=now)
        else:
            _mail(notice)
    except Forbidden as error:
        _give_up(notice, str(error))
    except Failed as error:
        if error.is_gone and notice.endpoint is not None:
            Endpoint.objects.filter(pk=notice.endpoint.pk).update(is_active=False)
            _give_up(notice, str(error))
        else:
            _try_later(notice, str(error), now=now)
    except OSError as error:
        _try_later(notice, f"{type(error).__name__}: {error}", now=now)
    else:
        Notice.objects.filter(pk=notice.pk).update(sent_at=now, due_at=None, failure="")
        return True
    return False


def _post(notice: Notice, endpoint: Endpoint, *, now: datetime) -> None:
    body = json.dumps(notice.payload, ensure_ascii=False, separators=(",", ":")).encode()
    headers = sign(endpoint.secret, notice.message_id, now, body)
    post(endpoint.url, body, headers, may_be_private=settings.WEBHOOKS_MAY_BE_PRIVATE)


def _mail(notice: Notice) -> None:
    content = notice.payload
    message = EmailMultiAlternatives(
        content["subject"],
        content["text"],
        to=[notice.email],
        headers={"Message-ID": f"<{notice.message_id}@offerlab>", **content.get("headers", {})},
    )
    if html := content.get("html"):
        message.attach_alternative(html, "text/html")
    message.send()


def _try_later(notice: Notice, failure: str, *, now: datetime) -> None:
    if notice.attempts > len(DELAYS):
        _give_up(notice, failure)
        return
    due_at = now + DELAYS[notice.attempts - 1]
    Notice.objects.filter(pk=notice.pk).update(due_at=due_at, failure=failure[:300])


def _give_up(notice: Notice, failure: str) -> None:
    logger.warning("%s was given up: %s", notice, failure)
    Notice.objects.filter(pk=notice.pk).update(due_at=None, failure=failure[:300])
