"""Answer `POST /api/v1/decide`: offers for a customer in each placement asked for."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from audience.customers.finding import AnonymousId, Key, name_of
from audience.models import Scope
from audience.sources.keyring import Keyring, key_of
from campaigns.deciding.decide import Slate, Slot
from campaigns.deciding.desk import Desk, Outcome, Visit
from campaigns.deciding.snapshot import Snapshot
from wire.bodies import parse
from wire.current import Current
from wire.messages import Problem, Request, Response, answer
from wire.routes import Handler

MOST_OFFERS = 50

Count = Annotated[int, msgspec.Meta(ge=1, le=MOST_OFFERS)]


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """A placement with room for several offers."""

    key: str
    count: Count = 1


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """Who asks for offers, where, and what the client knows right now.

    A placement is named by its key alone, or with the number of offers that it has room for.
    """

    placements: Annotated[list[str | Place], msgspec.Meta(min_length=1, max_length=20)]
    customer: Key | None = None
    anonymous_id: AnonymousId | None = None
    context: dict[str, Any] = {}


class Made(msgspec.Struct):
    """What a customer is shown in one place of a placement, and how that was decided.

    Where no campaign decides, a hold-out shows nothing or nothing was drawn, there is no offer. The
    propensity is the probability with which this was drawn for this place, given the places before
    it.
    """

    placement: str
    position: int = 0
    decision_id: uuid.UUID | None = None
    campaign: str | None = None
    arm: str | None = None
    offer: Mapping[str, Any] | None = None
    propensity: float | None = None
    policy_version: int | None = None
    reasons: Sequence[str] = []


class Reply(msgspec.Struct):
    """What was decided; `degraded` says that it was without the database: no limits, no memory.

    What is not `logged` was neither written to the database nor, for later, to disk.
    """

    decisions: list[Made]
    logged: bool
    degraded: bool


class DecideApi:
    """The handler of the decide API."""

    def __init__(
        self,
        keyring: Keyring,
        snapshot: Current[Snapshot],
        desk: Desk,
    ) -> None:
        """Know clients by `keyring` and placements by `snapshot`; decide at the desk."""
        self._keyring = keyring
        self._snapshot = snapshot
        self._desk = desk

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return the path of the API with its handler."""
        return {("POST", "/api/v1/decide"): self.decide}

    async def decide(self, request: Request) -> Response:
        """Decide, log, and answer, in this order: what was not logged was not decided."""
        await self._keyring.find(key_of(request), scope=Scope.DECIDE)
        question = parse(request, Question)
        visit = _to_visit(question, await self._snapshot.get())
        outcome = await self._desk.serve(visit)
        return answer(_to_reply(outcome))


def _to_visit(question: Question, snapshot: Snapshot) -> Visit:
    """Check the question.

    Raises:
        Problem: The customer is not named exactly once, or a placement is unknown or repeated.
    """
    name = name_of(question.customer, question.anonymous_id)
    places = [Place(place) if isinstance(place, str) else place for place in question.placements]
    for place in places:
        if place.key not in snapshot.placements:
            known = ", ".join(sorted(snapshot.placements)) or "none"
            raise Problem(422, f"No placement has the key {place.key[:60]!r}; there are: {known}.")
    asked = {place.key: place.count for place in places}
    if len(asked) < len(places):
        raise Problem(422, "Each placement can be asked for once.")
    return Visit(name, asked, question.context)


def _to_reply(outcome: Outcome) -> Reply:
    return Reply(
        decisions=[
            made
            for placement, slate in outcome.slates.items()
            for made in _to_decisions(placement, slate)
        ],
        logged=outcome.is_logged,
        degraded=outcome.is_degraded,
    )


def _to_decisions(placement: str, slate: Slate | None) -> list[Made]:
    """Write what was decided for each place; without a campaign there is one place, and nothing."""
    if slate is None:
        return [Made(placement)]
    made: list[Made] = []
    for slot in slate.slots:
        decision = slot.decision if isinstance(slot, Slot) else slot.held
        made.append(
            Made(
                placement,
                decision.position,
                decision.id,
                slate.campaign,
                decision.arm,
                _with_keys(slot.content),
                decision.propensity,
                decision.policy_version,
                decision.reasons,
            )
        )
    return made


def _with_keys(content: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Name products by their keys: a client knows its own catalogue."""
    if content is None or "products" not in content:
        return content
    return {**content, "products": [product["key"] for product in content["products"]]}
