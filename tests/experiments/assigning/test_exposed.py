"""What a client says that its customers met is recorded, in the transaction of the event."""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
import redis.asyncio
from django.conf import settings
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.intake.api import Intake
from audience.intake.listening import Told
from audience.models import Customer, Event, ReceivedMessage, RejectedEvent, Scope
from audience.sources.keyring import Keyring
from experiments.assigning.exposed import record_views
from experiments.lifecycle.adjusting import halt_arm, pause_experiment
from experiments.lifecycle.drafting import ArmPlan
from experiments.lifecycle.status import stop_experiment
from experiments.models import Exposure
from tests.asgi import Answer, Site, database_url, serve
from tests.makers import HOUR, NOW, make_experiment, make_source, make_user
from wire.dispatcher import Dispatcher

LATER = NOW + HOUR
SECOND = timedelta(seconds=1)


class Fails:
    """A listener that fails once, after another one wrote."""

    def __init__(self) -> None:
        self.is_failing = False

    async def __call__(self, connection: AsyncConnection[Any], stored: Sequence[Told], /) -> None:
        if self.is_failing:
            raise psycopg.OperationalError("it went away")


@pytest.fixture
def fails() -> Fails:
    return Fails()


@pytest.fixture
def tracking(transactional_db: None, fails: Fails) -> Iterator[Site]:
    """The tracking API with the listener, at a time when experiments have run for a while."""
    pool = AsyncConnectionPool(database_url(), min_size=1, max_size=4, open=False)
    notices = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    intake = Intake(
        pool,
        Keyring(pool, notices),
        listeners=[record_views, fails],
        clock=lambda: NOW + 6 * HOUR,
    )

    async def nowhere(*args: Any) -> None:
        raise AssertionError("everything has a route")

    application = Dispatcher(intake.routes(), fallback=nowhere, resources=[pool, aclosing(notices)])
    with serve(application) as site:
        yield site


@pytest.fixture
def key(transactional_db: None) -> str:
    return make_source(Scope.EVENTS)[1]


def viewed(
    *, at: datetime = LATER, customer: str = "ann", event: str = "Experiment Viewed", **said: Any
) -> dict[str, Any]:
    return {
        "type": "track",
        "event": event,
        "userId": customer,
        "timestamp": at.isoformat(),
        "properties": said,
    }


def send(site: Site, key: str, *messages: dict[str, Any]) -> Answer:
    return site.post("/v1/batch", {"batch": list(messages)}, key=key)


@pytest.mark.parametrize(
    "said",
    [
        {"experiment_id": "KEY", "variation_id": "new"},
        {"experimentId": "KEY", "variationId": "new"},
        {"experimentId": "KEY", "variationId": 1},
        {"experimentId": "KEY", "variationId": "1"},
        {"experiment_id": "KEY", "variation_id": "x7", "variation_name": "New"},
        {"experiment_id": "x7", "experiment_name": "NAME", "variation_name": "new"},
        {"experiment_name": "NAME", "variation_name": "New"},
        {"experiment_id": "NAME", "variation_id": "New"},
        {"experimentId": "KEY", "variationId": "new", "leafId": 3, "banditVersion": 7},
    ],
)
@pytest.mark.parametrize("event", ["Experiment Viewed", "experiment_viewed"])
def test_a_view_is_an_exposure_at_its_own_time(
    tracking: Site, key: str, said: dict[str, Any], event: str
) -> None:
    experiment = make_experiment()
    names = {"KEY": experiment.key, "NAME": experiment.name}
    said = {name: names.get(value, value) for name, value in said.items()}
    assert send(tracking, key, viewed(event=event, **said)).status == 200
    exposure = Exposure.objects.get()
    assert (exposure.experiment, exposure.arm.key) == (experiment, "new")
    assert (exposure.customer.external_key, exposure.exposed_at) == ("ann", LATER)
    assert Event.objects.get().properties == said
    assert not RejectedEvent.objects.exists()


def test_an_arms_key_counts_more_than_a_place(tracking: Site, key: str) -> None:
    arms = (ArmPlan("1", "One", 5000, is_control=True), ArmPlan("0", "Zero", 5000))
    experiment = make_experiment(arms=arms)
    send(tracking, key, viewed(experiment_id=experiment.key, variation_id=0))
    assert Exposure.objects.get().arm.key == "0"


def test_of_two_views_the_first_that_happened_counts(tracking: Site, key: str) -> None:
    experiment = make_experiment()
    send(
        tracking,
        key,
        viewed(at=LATER, experiment_id=experiment.key, variation_id="control"),
        viewed(at=NOW + SECOND, experiment_id=experiment.key, variation_id="new"),
        viewed(at=LATER + HOUR, experiment_id=experiment.key, variation_id="control"),
    )
    exposure = Exposure.objects.get()
    assert (exposure.arm.key, exposure.exposed_at) == ("new", NOW + SECOND)


@pytest.mark.parametrize(
    ("arm", "first_at"), [("new", NOW + SECOND), ("control", LATER)], ids=["same", "other"]
)
def test_a_view_that_comes_late_was_the_first_if_it_was_of_the_same_arm(
    tracking: Site, key: str, arm: str, first_at: datetime
) -> None:
    experiment = make_experiment()
    send(tracking, key, viewed(experiment_id=experiment.key, variation_id="new"))
    for at in (NOW + SECOND, NOW + HOUR / 2):
        send(tracking, key, viewed(at=at, experiment_id=experiment.key, variation_id=arm))
    exposure = Exposure.objects.get()
    assert (exposure.arm.key, exposure.exposed_at) == ("new", first_at)


def test_a_visitor_who_logs_in_was_exposed_as_a_visitor(tracking: Site, key: str) -> None:
    experiment = make_experiment()
    view = viewed(experiment_id=experiment.key, variation_id="new")
    send(tracking, key, {**view, "userId": None, "anonymousId": "browser"})
    send(tracking, key, {"type": "identify", "userId": "ann", "anonymousId": "browser"})
    ann = Customer.objects.get(external_key="ann")
    assert Exposure.objects.get().customer.merged_into == ann


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "An Experiment Viewed event needs experiment_id."),
        ({"experiment_id": True}, "An Experiment Viewed event needs experiment_id."),
        ({"experiment_id": "x7"}, "No experiment has the key 'x7'."),
        ({"experiment_name": "X7"}, "No experiment has the key 'X7'."),
        ({"experiment_id": "KEY"}, "An Experiment Viewed event needs variation_id."),
        ({"experiment_id": "KEY", "variation_id": "x7"}, "has no arm 'x7'."),
        ({"experiment_id": "KEY", "variation_id": 2}, "has no arm '2'."),
        ({"experiment_id": "KEY", "variation_id": -1}, "has no arm '-1'."),
        ({"experiment_id": "KEY", "variation_name": "X7"}, "has no arm 'X7'."),
        ({"experiment_id": "KEY", "variation_id": "9" * 50}, "has no arm '999"),
    ],
)
def test_a_view_of_nothing_known_stays_an_event_and_says_why(
    tracking: Site, key: str, said: dict[str, Any], reason: str
) -> None:
    experiment = make_experiment()
    said = {name: experiment.key if value == "KEY" else value for name, value in said.items()}
    assert send(tracking, key, viewed(**said)).json() == {"success": True}
    assert Event.objects.get().properties == said
    assert not Exposure.objects.exists()
    rejected = RejectedEvent.objects.get()
    assert reason in rejected.reason
    assert '"Experiment Viewed"' in rejected.payload


def test_a_name_that_two_experiments_share_names_neither(tracking: Site, key: str) -> None:
    for _ in range(2):
        experiment = make_experiment()
        experiment.name = "Twice"
        experiment.save(update_fields=["name"])
    send(tracking, key, viewed(experiment_name="Twice", variation_id="new"))
    assert not Exposure.objects.exists()
    assert "No experiment has the key 'Twice'" in RejectedEvent.objects.get().reason


def test_a_name_that_two_arms_share_names_neither(tracking: Site, key: str) -> None:
    arms = (ArmPlan("a", "Blue", 5000, is_control=True), ArmPlan("b", "Blue", 5000))
    experiment = make_experiment(arms=arms)
    send(tracking, key, viewed(experiment_id=experiment.key, variation_name="Blue"))
    assert "has no arm 'Blue'" in RejectedEvent.objects.get().reason


def test_what_has_not_started_has_no_exposures(tracking: Site, key: str) -> None:
    draft, running = make_experiment(started_at=None), make_experiment(started_at=LATER)
    send(
        tracking,
        key,
        viewed(experiment_id=draft.key, variation_id="new"),
        viewed(at=LATER - SECOND, experiment_id=running.key, variation_id="new"),
    )
    assert not Exposure.objects.exists()
    assert {r.reason for r in RejectedEvent.objects.all()} == {
        f"The experiment {key!r} had not started then." for key in (draft.key, running.key)
    }


def test_a_late_view_of_what_ran_then_counts_and_one_after_the_end_does_not(
    tracking: Site, key: str
) -> None:
    experiment = make_experiment()
    stop_experiment(experiment, by=None, now=LATER)
    send(
        tracking,
        key,
        viewed(at=LATER, experiment_id=experiment.key, variation_id="new"),
        viewed(at=LATER + SECOND, customer="bob", experiment_id=experiment.key, variation_id="new"),
    )
    assert Exposure.objects.get().customer.external_key == "ann"
    assert "had ended by then" in RejectedEvent.objects.get().reason


def test_a_view_while_paused_counts_because_it_was_seen(tracking: Site, key: str) -> None:
    experiment = make_experiment()
    pause_experiment(experiment, by=None, now=LATER, reason="look")
    send(tracking, key, viewed(at=LATER + SECOND, experiment_id=experiment.key, variation_id="new"))
    assert Exposure.objects.get().arm.key == "new"


def test_nobody_meets_a_halted_arm(tracking: Site, key: str) -> None:
    experiment = make_experiment()
    halt_arm(experiment, "new", by=make_user(), now=LATER, reason="harm")
    for seconds, customer in ((0, "ann"), (1, "bob")):
        at = LATER + seconds * SECOND
        said = {"experiment_id": experiment.key, "variation_id": "new"}
        send(tracking, key, viewed(at=at, customer=customer, **said))
    assert Exposure.objects.get().customer.external_key == "ann"
    assert "'new' had been halted by then" in RejectedEvent.objects.get().reason


def test_an_arm_of_a_hold_out_that_was_halted_once_is_met(tracking: Site, key: str) -> None:
    holdout = make_experiment(is_holdout=True, is_standalone=True)
    # As it could be done before that was refused.
    holdout.arms.filter(key="new").update(halted_at=LATER)
    said = {"experiment_id": holdout.key, "variation_id": "new"}
    send(tracking, key, viewed(at=LATER + SECOND, customer="bob", **said))
    assert Exposure.objects.get().arm.key == "new"


def test_a_retry_is_the_same_view(tracking: Site, key: str) -> None:
    view = {**viewed(experiment_id="x7"), "messageId": "m1"}
    send(tracking, key, view)
    send(tracking, key, view)
    assert RejectedEvent.objects.count() == 1


def test_event_and_exposure_are_stored_together_or_not_at_all(
    tracking: Site, key: str, fails: Fails
) -> None:
    experiment = make_experiment()
    view = {**viewed(experiment_id=experiment.key, variation_id="new"), "messageId": "m1"}
    fails.is_failing = True
    assert send(tracking, key, view).status == 503
    assert not Event.objects.exists()
    assert not Exposure.objects.exists()
    assert not ReceivedMessage.objects.exists()
    fails.is_failing = False
    assert send(tracking, key, view).status == 200
    assert Event.objects.count() == Exposure.objects.count() == 1


def test_other_events_are_no_exposures(tracking: Site, key: str) -> None:
    experiment = make_experiment()
    send(tracking, key, viewed(event="Seen", experiment_id=experiment.key, variation_id="new"))
    assert not Exposure.objects.exists()
    assert not RejectedEvent.objects.exists()
