"""Which step of a campaign follows for a customer, and when."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from campaigns.models import Step
from campaigns.sending.claiming import Next
from campaigns.sending.timing import Hours, next_moment


@dataclass(frozen=True, slots=True)
class Done:
    """A delivery after which the next step follows, and its customer's clock."""

    id: int
    step_id: int
    zone: ZoneInfo


def find_nexts(
    steps: Sequence[Step], hours: Hours, done: Iterable[Done], *, now: datetime
) -> Iterator[Next]:
    """Yield the step that follows each delivery, if one does."""
    following = dict(zip([step.pk for step in steps], steps[1:], strict=False))
    for each in done:
        step = following.get(each.step_id)
        if step is not None:
            earliest = now + timedelta(minutes=step.wait_minutes)
            yield Next(each.id, step.pk, next_moment(hours, earliest, zone=each.zone))
