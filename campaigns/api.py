"""Answer `POST /api/v1/decide`: an offer for a customer in each placement asked for."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.finding import Name
from audience.incoming import ANONYMOUS_ID_LENGTH, KEY_LENGTH
from audience.keyring import Keyring, key_of
from audience.models import Scope
from audience.partitions import Months
from campaigns.decide import Asked, Decided, Kept, decide
from campaigns.recall import Known, recall
from campaigns.snapshot import RunningCampaign, Snapshot
from experiments.exposures import record_exposures
from recommender.decision_ids import decision_partition
from recommender.decisions import log_decisions
from wire.bodies import parse
from wire.current import Current
from wire.messages import Problem, Request, Response, answer
from wire.routes import Handler

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_LENGTH)]
AnonymousId = Annotated[str, msgspec.Meta(min_length=1, max_length=ANONYMOUS_ID_LENGTH)]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """Who asks for an offer, where, and what the client knows right now."""

    placements: Annotated[list[str], msgspec.Meta(min_length=1, max_length=20)]
    customer: Key | None = None
    anonymous_id: AnonymousId | None = None
    context: dict[str, Any] = {}


class DecideApi:
    """The handler of the decide API."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        keyring: Keyring,
        snapshot: Current[Snapshot],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Log through `pool`, know clients by `keyring` and campaigns by `snapshot`."""
        self._pool = pool
        self._keyring = keyring
        self._snapshot = snapshot
        self._clock = clock
        self._months = Months(pool, decision_partition)

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return the path of the API with its handler."""
        return {("POST", "/api/v1/decide"): self.decide}

    async def decide(self, request: Request) -> Response:
        """Decide, log, and answer, in this order: what was not logged was not decided."""
        await self._keyring.find(key_of(request), scope=Scope.DECIDE)
        question = parse(request, Question)
        snapshot = await self._snapshot.get()
        _check(question, snapshot)
        now = self._clock()
        running = [c for p in question.placements for c in snapshot.campaigns.get(p, ())]
        await self._months.prepare([now])
        async with self._pool.connection() as connection:
            customer = await _recall(connection, question, running, now=now)
            decided = [
                decide(snapshot, _asked(question, placement, customer, now=now))
                for placement in question.placements
            ]
            await _store(connection, decided)
        return answer(
            {
                "decisions": [
                    _document(placement, choice)
                    for placement, choice in zip(question.placements, decided, strict=True)
                ]
            }
        )


def _check(question: Question, snapshot: Snapshot) -> None:
    """Refuse what cannot be answered.

    Raises:
        Problem: The customer is not named exactly once, or a placement is unknown or repeated.
    """
    if (question.customer is None) == (question.anonymous_id is None):
        raise Problem(422, "Name the customer by exactly one of `customer` and `anonymous_id`.")
    unknown = [p for p in question.placements if p not in snapshot.placements]
    if unknown:
        known = ", ".join(sorted(snapshot.placements)) or "none"
        raise Problem(422, f"No placement has the key {unknown[0][:60]!r}; there are: {known}.")
    if len(set(question.placements)) < len(question.placements):
        raise Problem(422, "Each placement can be asked for once.")


async def _recall(
    connection: AsyncConnection,
    question: Question,
    running: Sequence[RunningCampaign],
    *,
    now: datetime,
) -> Known:
    return await recall(
        connection,
        Name(question.customer, question.anonymous_id),
        experiments=[campaign.experiment_id for campaign in running],
        holds={campaign.key: campaign.hold_seconds for campaign in running},
        now=now,
    )


def _asked(question: Question, placement: str, customer: Known, *, now: datetime) -> Asked:
    return Asked(
        placement=placement,
        customer=customer,
        customer_key=Name(question.customer, question.anonymous_id).key,
        context=question.context,
        now=now,
    )


async def _store(connection: AsyncConnection, decided: Sequence[Decided | Kept | None]) -> None:
    """Log the new decisions and exposures in one transaction, sent in one go."""
    new = [choice for choice in decided if isinstance(choice, Decided)]
    if not new:
        return
    met = [choice.met for choice in new if choice.met is not None]
    async with connection.pipeline(), connection.transaction():
        await log_decisions(connection, [choice.decision for choice in new])
        if met:
            await record_exposures(connection, met)


def _document(placement: str, choice: Decided | Kept | None) -> dict[str, Any]:
    if choice is None:
        return {"placement": placement, "decision_id": None, "campaign": None, "offer": None}
    made = choice.decision if isinstance(choice, Decided) else choice.held
    campaign = choice.decision.campaign if isinstance(choice, Decided) else choice.campaign
    return {
        "placement": placement,
        "decision_id": str(made.id),
        "campaign": campaign,
        "arm": made.arm,
        "offer": choice.content,
        "propensity": made.propensity,
        "policy_version": made.policy_version,
        "reasons": list(made.reasons),
    }
