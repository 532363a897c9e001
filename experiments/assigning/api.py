"""Answer `POST /api/v1/assign`: the arms of a customer in the experiments asked for."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.customers.finding import AnonymousId, Found, Key, find_or_make, name_of
from audience.models import Scope
from audience.sources.keyring import Keyring, key_of
from experiments.assigning.evaluation import Answer, evaluate
from experiments.assigning.exposures import MET_ARMS, Met, record_exposures, to_met_arms
from experiments.assigning.running import Running
from wire.bodies import parse
from wire.current import Current
from wire.messages import Request, Response, answer
from wire.routes import Handler


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """Who asks for arms, in which experiments, and what the client knows right now."""

    customer: Key | None = None
    anonymous_id: AnonymousId | None = None
    experiments: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)] | None = None
    attributes: dict[str, Any] = {}


class AssignApi:
    """The handler of the assign API."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        keyring: Keyring,
        running: Current[Running],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Record through `pool`, know clients by `keyring` and experiments by `running`."""
        self._pool = pool
        self._keyring = keyring
        self._running = running
        self._clock = clock

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return the path of the API with its handler."""
        return {("POST", "/api/v1/assign"): self.assign}

    async def assign(self, request: Request) -> Response:
        """Evaluate, record exposures, and answer, in this order: to have asked is to have met."""
        await self._keyring.find(key_of(request), scope=Scope.DECIDE)
        question = parse(request, Question)
        name = name_of(question.customer, question.anonymous_id)
        running = await self._running.get()
        asked = question.experiments or _all_but_holdouts(running)
        async with self._pool.connection() as connection:
            customer = await find_or_make(
                connection,
                name,
                besides=MET_ARMS,
                params={"experiments": [e.id for e in running.values() if e.served is None]},
            )
            answers = _evaluate_all(asked, customer, question.attributes, running)
            await self._record(connection, customer, answers.values())
        return answer({"assignments": {key: _document(made) for key, made in answers.items()}})

    async def _record(
        self, connection: AsyncConnection, customer: Found, answers: Iterable[Answer]
    ) -> None:
        # Several experiments may require the same hold-out.
        exposures = {pair for made in answers for pair in made.exposures}
        if not exposures:
            return
        now = self._clock()
        async with connection.transaction():
            await record_exposures(
                connection,
                [Met(experiment, customer.id, arm, now) for experiment, arm in exposures],
            )


def _all_but_holdouts(running: Running) -> list[str]:
    """Leave hold-outs to the experiments that keep to them."""
    return [key for key, experiment in running.items() if not experiment.is_holdout]


def _evaluate_all(
    asked: Iterable[str], customer: Found, sent: Mapping[str, Any], running: Running
) -> dict[str, Answer]:
    attributes = {**customer.attributes, **sent}
    (column,) = customer.besides or ({},)
    met = to_met_arms(column)
    # By the customer's own key, also where a visitor's id was given: so a group's experiments share
    # no customers, by whichever name each of them was asked for.
    return {key: evaluate(key, customer.key, attributes, running, met) for key in asked}


def _document(made: Answer) -> dict[str, Any]:
    return {"arm": made.arm_key, "payload": made.payload, "reason": made.reason}
