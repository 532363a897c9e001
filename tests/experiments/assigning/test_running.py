"""The experiments that clients can ask for, in memory."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from psycopg import AsyncConnection

from experiments.assigning.evaluation import GroupShare
from experiments.assigning.running import Running, load_running
from experiments.lifecycle.adjusting import halt_arm, pause_experiment
from experiments.lifecycle.drafting import ArmPlan
from experiments.lifecycle.shipping import roll_back, ship_arm, undo_decision
from experiments.lifecycle.status import stop_experiment
from experiments.models import Arm, ExclusionGroup, Experiment, Prerequisite
from tests.asgi import database_url
from tests.makers import NOW, TWO_ARMS, make_campaign, make_experiment

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_review(settings: Any) -> None:
    settings.REVIEW_IS_REQUIRED = False


def load() -> Running:
    """Read what runs, once."""

    async def read() -> Running:
        options: dict[str, Any] = {"autocommit": True}
        async with await AsyncConnection.connect(database_url(), **options) as connection:
            return await load_running(connection)

    return asyncio.run(read())


def make(*, arms: Sequence[ArmPlan] = TWO_ARMS, **promises: Any) -> Experiment:
    """Start an experiment that clients ask for."""
    return make_experiment(arms=arms, is_standalone=True, **promises)


def act(action: Any, experiment: Experiment, *arguments: Any) -> None:
    action(experiment, *arguments, by=None, now=NOW, reason="test")


def test_it_holds_all_that_evaluating_needs() -> None:
    group = ExclusionGroup.objects.create(key="g", name="G", seed="g:seed")
    experiment = make(
        arms=[
            ArmPlan("control", "Control", 4000, is_control=True, payload={"price": 10}),
            ArmPlan("new", "New", 6000, payload={"price": 8}),
        ],
        audience={"country": "DE"},
        traffic=2500,
        group=group,
        group_from=1000,
        group_until=3000,
    )
    holdout = make(is_holdout=True)
    required = Arm.objects.get(experiment=holdout, key="new")
    Prerequisite.objects.create(experiment=experiment, arm=required)

    running = load()
    found = running[experiment.key]
    assert (found.id, found.seed, found.traffic) == (experiment.pk, experiment.seed, 2500)
    assert found.audience == {"country": "DE"}
    assert found.group == GroupShare("g:seed", 1000, 3000)
    assert found.prerequisites == ((holdout.key, "new"),)
    assert [(arm.key, arm.weight, arm.payload) for arm in found.arms] == [
        ("control", 4000, {"price": 10}),
        ("new", 6000, {"price": 8}),
    ]
    assert found.control is found.arms[0]
    assert (found.is_holdout, running[holdout.key].is_holdout) == (False, True)
    assert (found.is_paused, found.served) == (False, None)


def test_only_what_runs_is_paused_or_was_decided_is_there() -> None:
    make(started_at=None)
    stopped, undone = make(), make()
    act(stop_experiment, stopped)
    act(ship_arm, undone, "new")
    act(undo_decision, undone)
    runs, paused, shipped, rolled_back = make(), make(), make(), make()
    act(pause_experiment, paused)
    act(ship_arm, shipped, "new")
    act(roll_back, rolled_back)

    running = load()
    assert set(running) == {e.key for e in (runs, paused, shipped, rolled_back)}
    assert [key for key, found in running.items() if found.is_paused] == [paused.key]
    served = {key: found.served.key for key, found in running.items() if found.served}
    assert served == {shipped.key: "new", rolled_back.key: "control"}


def test_a_campaigns_experiment_is_left_to_its_campaign() -> None:
    make_campaign()
    assert load() == {}


def test_a_halted_arm_is_marked() -> None:
    experiment = make()
    act(halt_arm, experiment, "new")
    assert [arm.is_halted for arm in load()[experiment.key].arms] == [False, True]


def test_an_arm_of_a_hold_out_that_was_halted_once_goes_on() -> None:
    holdout = make(is_holdout=True)
    # As it could be done before that was refused.
    holdout.arms.filter(key="new").update(halted_at=NOW)
    assert [arm.is_halted for arm in load()[holdout.key].arms] == [False, False]


@pytest.mark.parametrize("damage", ["audience", "control", "weights"])
def test_a_damaged_experiment_does_not_keep_the_others_from_being_served(
    damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, sound = make(), make()
    if damage == "audience":
        Experiment.objects.filter(pk=damaged.pk).update(audience={"age": {"$near": 1}})
    elif damage == "control":
        damaged.arms.update(is_control=False)
    else:
        damaged.arms.update(weight=9000)
    assert list(load()) == [sound.key]
    assert f"The experiment {damaged.key} cannot be served" in caplog.text


def test_a_hold_out_that_has_ended_holds_nobody_out() -> None:
    holdout = make(is_holdout=True)
    experiment = make()
    Prerequisite.objects.create(
        experiment=experiment, arm=Arm.objects.get(experiment=holdout, key="new")
    )
    assert load()[experiment.key].prerequisites == ((holdout.key, "new"),)
    stop_experiment(holdout, by=None, now=NOW)
    assert load()[experiment.key].prerequisites == ()


def test_it_is_known_which_of_what_is_required_holds_customers_out() -> None:
    holdout, other, experiment = make(is_holdout=True), make(), make()
    for required in (holdout, other):
        Prerequisite.objects.create(
            experiment=experiment, arm=Arm.objects.get(experiment=required, key="new")
        )
    act(ship_arm, experiment, "new")
    found = load()[experiment.key]
    assert found.holdouts == {holdout.key}
    assert found.keeps_to == ((holdout.key, "new"),)
    stop_experiment(holdout, by=None, now=NOW)
    assert load()[experiment.key].keeps_to == ()
