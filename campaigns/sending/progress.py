"""How far a campaign's sending is, and what is in doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count
from django.template.defaultfilters import pluralize

from campaigns.deciding.zones import zone_of
from campaigns.models import Campaign, Delivery, DeliveryState
from campaigns.sending.claiming import follow
from campaigns.sending.enrolling import hours_of
from campaigns.sending.following import Done, find_nexts
from experiments.lifecycle.status import record_change

COUNTED = "Counted as sent by a person."
# The speed is that of so long.
LATELY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of a campaign's deliveries so far.

    Attributes:
        counts: By state.
        reasons: Why how many were not sent, the most frequent first.
        per_second: How many left in a second lately.
        due: How many wait whose time has come.
    """

    counts: Mapping[str, int]
    reasons: Sequence[tuple[str, int]]
    per_second: float
    due: int

    @property
    def total(self) -> int:
        """All deliveries."""
        return sum(self.counts.values())

    @property
    def settled(self) -> int:
        """Those that nothing more happens to by itself."""
        waiting = (DeliveryState.QUEUED, DeliveryState.LEASED)
        return self.total - sum(self.counts.get(state, 0) for state in waiting)

    @property
    def rows(self) -> Sequence[tuple[str, int]]:
        """The states in words, with how many deliveries are in each."""
        return [(state.label, self.counts.get(state.value, 0)) for state in DeliveryState]

    @property
    def in_doubt(self) -> int:
        """Of how many nobody knows whether they went."""
        return self.counts.get(DeliveryState.IN_DOUBT, 0)

    @property
    def left_seconds(self) -> float | None:
        """How long what is due will take at this speed; None where nothing moves."""
        return self.due / self.per_second if self.per_second > 0 else None


def find_progress(campaign: Campaign, *, now: datetime) -> Progress:
    """Look how far a campaign is."""
    deliveries = Delivery.objects.filter(campaign=campaign)
    counts = dict(deliveries.values_list("state").annotate(count=Count("pk")))
    reasons = (
        deliveries.filter(state__in=[DeliveryState.SKIPPED, DeliveryState.FAILED])
        .values_list("reason")
        .annotate(count=Count("pk"))
        .order_by("-count")[:10]
    )
    lately = deliveries.filter(state=DeliveryState.SENT, sent_at__gt=now - LATELY).count()
    due = deliveries.filter(state=DeliveryState.QUEUED, send_after__lte=now).count()
    return Progress(
        counts=counts,
        reasons=list(reasons),
        per_second=lately / LATELY.total_seconds(),
        due=due + counts.get(DeliveryState.LEASED, 0),
    )


def find_doubtful(
    campaign: Campaign, *, among: Sequence[int] | None = None, most: int
) -> Sequence[Delivery]:
    """Return deliveries of which nobody knows whether they went, the oldest first."""
    doubtful = Delivery.objects.filter(campaign=campaign, state=DeliveryState.IN_DOUBT)
    if among is not None:
        doubtful = doubtful.filter(pk__in=among)
    return list(doubtful.select_related("customer", "step").order_by("pk")[:most])


def resolve_doubt(
    campaign: Campaign, ids: Sequence[int], *, again: bool, by: User | None, now: datetime
) -> int:
    """Let somebody say of doubtful deliveries that they are sent again, or count as sent.

    Who is sent it again may get it twice: both mails have the same Message-ID, by which many
    receivers drop the second.

    Returns:
        How many were still in doubt.
    """
    doubtful = Delivery.objects.filter(campaign=campaign, pk__in=ids, state=DeliveryState.IN_DOUBT)
    with transaction.atomic():
        # Whoever else answers at the same moment finds nothing in doubt any more.
        locked = list(doubtful.select_for_update(of=("self",)).select_related("customer"))
        chosen = Delivery.objects.filter(pk__in=[delivery.pk for delivery in locked])
        if again:
            chosen.update(state=DeliveryState.QUEUED, provider_id="", reason="", send_after=now)
        else:
            chosen.update(state=DeliveryState.SENT, sent_at=now, reason=COUNTED)
            done = [Done(d.pk, d.step_id, _zone(d)) for d in locked]
            steps = list(campaign.steps.all())
            follow(list(find_nexts(steps, hours_of(campaign), done, now=now)), now=now)
        if locked:
            deed = "sent again" if again else "counted as sent"
            words = f"{len(locked)} message{pluralize(len(locked))} in doubt {deed}"
            record_change(campaign.experiment, words, by=by, now=now)
    return len(locked)


def _zone(delivery: Delivery) -> ZoneInfo:
    return zone_of(delivery.customer.attributes, otherwise=settings.SITE_ZONE)
