"""The assign API, over ASGI, on the real database and Redis."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from audience.models import Customer, Identity, Scope
from experiments.assigning.assignment import bucket_of
from experiments.lifecycle.adjusting import halt_arm, pause_experiment, ramp_experiment
from experiments.lifecycle.drafting import ArmPlan
from experiments.lifecycle.shipping import roll_back, ship_arm
from experiments.lifecycle.status import stop_experiment
from experiments.models import Arm, Experiment, Exposure, Prerequisite, Status
from tests.asgi import Answer, Site, open_site
from tests.makers import NOW, make_campaign, make_customer, make_experiment, make_source
from wire.notices import announce_change

PATH = "/api/v1/assign"
# A change is seen within this time.
SEEN_SECONDS = 0.7

PRICED = (
    ArmPlan("control", "Control", 5000, is_control=True, payload={"price": 10}),
    ArmPlan("new", "New", 5000, payload={"price": 8}),
)
HOLDOUT = (
    ArmPlan("held-out", "Held out", 5000, is_control=True),
    ArmPlan("open", "Open", 5000),
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with open_site() as site:
        yield site


@pytest.fixture
def key(transactional_db: None) -> str:
    return make_source(Scope.DECIDE)[1]


@pytest.fixture(autouse=True)
def no_review(settings: Any) -> None:
    settings.REVIEW_IS_REQUIRED = False


def make(*, arms: Sequence[ArmPlan] = PRICED, **promises: Any) -> Experiment:
    """Start an experiment that clients ask for."""
    return make_experiment(arms=arms, is_standalone=True, **promises)


def ask(site: Site, key: str, **question: Any) -> Any:
    """Ask for arms."""
    answer = site.post(PATH, question, key=key)
    assert answer.status == 200, answer.text
    return answer.json()["assignments"]


def wait(site: Site) -> None:
    site.run(asyncio.sleep(SEEN_SECONDS))


def test_the_arm_answered_is_recorded_as_met(site: Site, key: str) -> None:
    experiment = make()
    for number in range(20):
        assignment = ask(site, key, customer=f"c{number}")[experiment.key]
        exposure = Exposure.objects.get(customer__external_key=f"c{number}")
        assert exposure.experiment == experiment
        assert assignment == {
            "arm": exposure.arm.key,
            "payload": exposure.arm.payload,
            "reason": "assigned",
        }
    assert set(Exposure.objects.values_list("arm__key", flat=True)) == {"control", "new"}


def test_asking_again_records_nothing_and_gives_the_same(site: Site, key: str) -> None:
    experiment = make()
    first = ask(site, key, customer="ada")[experiment.key]
    again = ask(site, key, customer="ada")[experiment.key]
    assert again == {**first, "reason": "kept"}
    assert Exposure.objects.count() == 1


def test_only_what_is_asked_for_is_answered_and_met(site: Site, key: str) -> None:
    one, two = make(), make()
    assert set(ask(site, key, customer="ada", experiments=[one.key])) == {one.key}
    assert Exposure.objects.get().experiment == one
    assert set(ask(site, key, customer="ada")) == {one.key, two.key}


def test_an_unknown_experiment_is_a_reason_and_no_error(site: Site, key: str) -> None:
    campaign = make_campaign()
    asked = ["nothing", campaign.experiment.key]
    nothing = {"arm": None, "payload": None, "reason": "unknown"}
    assert ask(site, key, customer="ada", experiments=asked) == dict.fromkeys(asked, nothing)
    assert Exposure.objects.count() == 0


def test_the_audience_is_asked_of_stored_attributes_and_of_those_sent(site: Site, key: str) -> None:
    experiment = make(audience={"country": "DE", "orders": {"$gte": 3}})
    customer = make_customer(attributes={"country": "DE", "orders": 1}).external_key

    def reason(**attributes: Any) -> str:
        asked = ask(site, key, customer=customer, attributes=attributes)
        return str(asked[experiment.key]["reason"])

    assert reason() == "not_in_audience"
    assert reason(orders=3, country="FR") == "not_in_audience"
    assert Exposure.objects.count() == 0
    assert reason(orders=3) == "assigned"
    assert reason() == "kept"
    # What is sent is for this question; events and identify calls are what is stored.
    assert Customer.objects.get(external_key=customer).attributes["orders"] == 1


def test_a_hold_out_is_measured_on_those_it_keeps_away_too(site: Site, key: str) -> None:
    experiment, holdout = make(), make(arms=HOLDOUT, is_holdout=True)
    required = Arm.objects.get(experiment=holdout, key="open")
    Prerequisite.objects.create(experiment=experiment, arm=required)
    for number in range(30):
        # Of all experiments, hold-outs are not asked for by themselves.
        assert set(ask(site, key, customer=f"c{number}")) == {experiment.key}
    held = Exposure.objects.filter(arm__key="held-out")
    assert 0 < held.count() < 30
    assert Exposure.objects.filter(experiment=holdout).count() == 30
    exposed = set(Exposure.objects.filter(experiment=experiment).values_list("customer", flat=True))
    let_in = set(Exposure.objects.filter(arm=required).values_list("customer", flat=True))
    assert exposed == let_in


def test_what_was_shipped_is_withheld_until_the_hold_out_ends(site: Site, key: str) -> None:
    experiment, holdout = make(), make(arms=HOLDOUT, is_holdout=True)
    required = Arm.objects.get(experiment=holdout, key="open")
    Prerequisite.objects.create(experiment=experiment, arm=required)
    ship_arm(experiment, "new", by=None, now=NOW, reason="it won")
    customers = [f"c{number}" for number in range(30)]

    def arms() -> set[tuple[str, str | None]]:
        wait(site)
        return {(c, ask(site, key, customer=c)[experiment.key]["arm"]) for c in customers}

    share = holdout.arms.get(key="held-out").weight
    held = {c for c in customers if bucket_of(holdout.seed, c) < share}
    assert 0 < len(held) < 30
    assert arms() == {(c, None if c in held else "new") for c in customers}
    # Both sides are measured, by what was shipped too, and nobody meets the experiment any more.
    met = Exposure.objects.filter(arm__key="held-out").values_list("customer__external_key")
    assert {c for (c,) in met} == held
    assert Exposure.objects.filter(experiment=holdout).count() == Exposure.objects.count() == 30
    stop_experiment(holdout, by=None, now=NOW)
    assert arms() == {(c, "new") for c in customers}


def test_a_hold_out_that_was_paused_once_holds_out_the_same_customers(site: Site, key: str) -> None:
    experiment, holdout = make(), make(arms=HOLDOUT, is_holdout=True)
    required = Arm.objects.get(experiment=holdout, key="open")
    Prerequisite.objects.create(experiment=experiment, arm=required)
    # As it could be done before that was refused.
    Experiment.objects.filter(pk=holdout.pk).update(status=Status.PAUSED)
    announce_change()
    wait(site)
    customers = [f"c{number}" for number in range(30)]
    let_in = {c for c in customers if ask(site, key, customer=c)[experiment.key]["arm"]}
    share = holdout.arms.get(key="held-out").weight
    assert let_in == {c for c in customers if bucket_of(holdout.seed, c) >= share}
    assert 0 < len(let_in) < 30


def test_two_experiments_with_one_hold_out_are_met_with_it_in_one_request(
    site: Site, key: str
) -> None:
    holdout = make(arms=HOLDOUT, is_holdout=True)
    required = Arm.objects.get(experiment=holdout, key="open")
    for experiment in (make(), make()):
        Prerequisite.objects.create(experiment=experiment, arm=required)
    ask(site, key, customer="ada")
    assert Exposure.objects.filter(experiment=holdout).count() == 1


CONTROL, NEW = ("control", {"price": 10}), ("new", {"price": 8})


@pytest.mark.parametrize(
    ("step", "met", "stranger"),
    [
        (partial(halt_arm, arm_key="new"), (*CONTROL, "halted"), None),
        (pause_experiment, (*CONTROL, "paused"), (*CONTROL, "paused")),
        (partial(ship_arm, arm_key="new"), (*NEW, "served"), (*NEW, "served")),
        (roll_back, (*CONTROL, "served"), (*CONTROL, "served")),
    ],
    ids=["halt", "pause", "ship", "roll back"],
)
def test_a_step_is_seen_within_a_second_and_exposes_nobody(
    site: Site, key: str, step: Any, met: tuple[Any, ...], stranger: tuple[Any, ...] | None
) -> None:
    experiment = make()

    def answer(customer: str) -> tuple[Any, ...]:
        found = ask(site, key, customer=customer)[experiment.key]
        return found["arm"], found["payload"], found["reason"]

    in_new = next(f"c{i}" for i in range(100) if answer(f"c{i}")[0] == "new")
    exposed = Exposure.objects.count()
    step(experiment, by=None, now=NOW, reason="test")
    wait(site)
    assert answer(in_new) == met
    if stranger is not None:
        assert answer("stranger") == stranger
    assert Exposure.objects.count() == exposed


def test_with_less_traffic_who_was_in_stays_in(site: Site, key: str) -> None:
    experiment = make()
    before = {f"c{i}": ask(site, key, customer=f"c{i}")[experiment.key] for i in range(10)}
    ramp_experiment(experiment, 1, by=None, now=NOW, reason="careful")
    wait(site)
    for customer, first in before.items():
        assert ask(site, key, customer=customer)[experiment.key]["arm"] == first["arm"]
    strangers = [ask(site, key, customer=f"d{i}")[experiment.key] for i in range(10)]
    assert {found["reason"] for found in strangers} == {"outside_traffic"}


def test_a_visitor_who_turns_out_to_be_a_customer_keeps_the_arm(site: Site, key: str) -> None:
    experiment = make()
    _, events_key = make_source(Scope.EVENTS)
    for number in range(8):
        browser, customer = f"browser-{number}", f"customer-{number}"
        before = ask(site, key, anonymous_id=browser)[experiment.key]["arm"]
        assert Identity.objects.get(value=browser).customer.external_key == f"anonymous:{browser}"
        identify = {"userId": customer, "anonymousId": browser}
        assert site.post("/v1/identify", identify, key=events_key).status == 200
        assert ask(site, key, customer=customer)[experiment.key]["arm"] == before
        assert ask(site, key, anonymous_id=browser)[experiment.key]["arm"] == before
    assert Exposure.objects.count() == 8


def test_a_known_customer_is_hashed_alike_by_either_name(site: Site, key: str) -> None:
    customers = [make_customer() for _ in range(12)]
    for number, customer in enumerate(customers):
        Identity.objects.create(customer=customer, kind="anonymous_id", value=f"b{number}")
    one, two = make(seed="same"), make(seed="same")
    for number, customer in enumerate(customers):
        by_browser = ask(site, key, anonymous_id=f"b{number}", experiments=[one.key])
        by_key = ask(site, key, customer=customer.external_key, experiments=[two.key])
        assert by_browser[one.key]["arm"] == by_key[two.key]["arm"]


def test_requests_of_a_new_customer_at_once_make_one_customer_in_one_arm(
    site: Site, key: str
) -> None:
    make()

    async def many() -> list[Answer]:
        body = {"anonymous_id": "browser"}
        return await asyncio.gather(*(site.client.post(PATH, body, key=key) for _ in range(20)))

    answers = site.run(many())
    assert {answer.status for answer in answers} == {200}
    assert Customer.objects.count() == Exposure.objects.count() == 1
    arms = {next(iter(answer.json()["assignments"].values()))["arm"] for answer in answers}
    assert arms == {Exposure.objects.get().arm.key}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{bad", 400),
        ({}, 422),
        ({"customer": "a", "anonymous_id": "b"}, 422),
        ({"customer": ""}, 422),
        ({"customer": "a" * 256}, 422),
        ({"customer": 5}, 422),
        ({"customer": "a", "experiments": []}, 422),
        ({"customer": "a", "experiments": ["e"] * 101}, 422),
        ({"customer": "a", "experiments": "e"}, 422),
        ({"customer": "a", "attributes": [1]}, 422),
        ({"customer": "a", "attribute": {}}, 422),
        ({"customer": "a\0"}, 400),
    ],
)
def test_a_malformed_question_is_a_problem(site: Site, key: str, body: Any, status: int) -> None:
    answer = site.post(PATH, body, key=key)
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert Customer.objects.count() == 0


def test_who_may_not_ask_gets_no_arm(site: Site) -> None:
    make()
    _, events_key = make_source(Scope.EVENTS)
    assert site.post(PATH, {"customer": "ada"}, key=events_key).status == 403
    assert site.post(PATH, {"customer": "ada"}, key="ol_wrong").status == 401
    assert Exposure.objects.count() == 0
