"""Writes down what is to be told, in the transaction in which it happens."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction

from experiments.models import Endpoint, Experiment, Notice
from wire.wakeups import wake

DELIVER_TASK = "experiments.deliver_notices"

CHANGED = "experiment.changed"
VERDICT = "experiment.verdict"
HARM = "experiment.harm"
DIGEST = "digest.weekly"

EVENTS = {
    CHANGED: "Somebody changed an experiment's state",
    VERDICT: "An experiment reached its verdict",
    HARM: "An arm did harm and was halted",
}


def tell_endpoints(
    event: str, experiment: Experiment, data: Mapping[str, Any], *, now: datetime
) -> None:
    """Let every endpoint that wants to know it be told."""
    wanting = [
        endpoint
        for endpoint in Endpoint.objects.filter(is_active=True)
        if not endpoint.events or event in endpoint.events
    ]
    if not wanting:
        return
    payload = {
        "type": event,
        "timestamp": now.isoformat(),
        "data": {
            "experiment": experiment.key,
            "name": experiment.name,
            "url": f"{settings.SITE_URL}{experiment.get_absolute_url()}",
            **data,
        },
    }
    _put(
        [
            Notice(
                endpoint=endpoint,
                message_id=f"msg_{secrets.token_urlsafe(18)}",
                event=event,
                payload=payload,
                created_at=now,
                due_at=now,
            )
            for endpoint in wanting
        ]
    )


def mail(
    event: str, message_id: str, email: str, content: Mapping[str, Any], *, now: datetime
) -> None:
    """Let an address be sent a mail, once for each message id.

    Args:
        event: What it is about.
        message_id: Tells it from others.
        email: Where to.
        content: `subject`, `text`, and perhaps `html` and `headers`.
        now: When it happened.
    """
    notice = Notice(
        email=email,
        message_id=message_id,
        event=event,
        payload=dict(content),
        created_at=now,
        due_at=now,
    )
    _put([notice])


def _put(notices: list[Notice]) -> None:
    if notices:
        Notice.objects.bulk_create(notices, ignore_conflicts=True)
        transaction.on_commit(partial(wake, DELIVER_TASK))
