"""The protocol over ASGI, on the real database and Redis: what flags say, and to whom."""

import asyncio
import json
from typing import Any, get_args

import pytest

from audience.models import Customer, Identity, Scope
from experiments.lifecycle.adjusting import pause_experiment
from experiments.lifecycle.drafting import ArmPlan
from experiments.lifecycle.shipping import roll_back, ship_arm
from experiments.models import Arm, Experiment, Exposure, Prerequisite
from experiments.ofrep.documents import FlagReason
from tests.asgi import Answer, Site
from tests.experiments.ofrep.conftest import NO_DATABASE, OpenOfrep, make_flag
from tests.experiments.served import customer_in
from tests.makers import NOW, make_customer, make_experiment, make_source
from tests.racing import end_sessions, locked_table

ALL = "/ofrep/v1/evaluate/flags"
DECIDED: dict[str, Any] = {"by": None, "now": NOW, "reason": "test"}

pytestmark = pytest.mark.django_db(transaction=True)


def post(site: Site, key: str, path: str, body: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.post(path, body, headers={"authorization": f"Bearer {key}", **named})


def evaluate(site: Site, key: str, flag: str, **context: Any) -> Answer:
    """Evaluate one flag; the customer is `ada` unless the context says otherwise."""
    return post(site, key, f"{ALL}/{flag}", {"context": {"targetingKey": "ada", **context}})


def evaluate_all(site: Site, key: str, *, tag: str = "", query: str = "", **context: Any) -> Answer:
    headers = {"if_none_match": tag} if tag else {}
    body = {"context": {"targetingKey": "ada", **context}}
    return post(site, key, f"{ALL}{query}", body, **headers)


def flags_of(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.text
    return {flag["key"]: flag for flag in answer.json()["flags"]}


def test_one_flag_is_answered_and_met(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    flag = evaluate(site, key, experiment.key).json()
    exposure = Exposure.objects.get(customer__external_key="ada")
    assert (flag["reason"], flag["variant"]) == ("SPLIT", exposure.arm.key)
    assert flag["value"] == exposure.arm.payload
    again = evaluate(site, key, experiment.key).json()
    assert again["metadata"]["reason"] == "kept"
    assert (again["variant"], Exposure.objects.count()) == (flag["variant"], 1)


def test_all_flags_are_answered_and_none_is_met(site: Site, key: str) -> None:
    one, two = make_flag("a", "b"), make_flag(1, 2)
    holdout = make_flag("x", "y", is_holdout=True)
    flags = flags_of(evaluate_all(site, key))
    assert set(flags) == {one.key, two.key}
    assert holdout.key not in flags
    assert Exposure.objects.count() == Customer.objects.count() == 0


def test_both_ways_of_asking_give_the_same(site: Site, key: str) -> None:
    experiments = [make_flag("a", "b"), make_flag(1.0, 2.5), make_flag({"n": 1}, {"n": 2})]
    ship_arm(experiments[1], "v1", **DECIDED)
    flags = flags_of(evaluate_all(site, key))
    for experiment in experiments:
        # One flag that was asked for is recorded; one of many is left to report.
        flags[experiment.key].get("metadata", {}).pop("exposures", None)
        assert evaluate(site, key, experiment.key).json() == flags[experiment.key]


def test_what_was_decided_makes_no_customer(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    ship_arm(experiment, "v1", **DECIDED)
    flag = evaluate(site, key, experiment.key).json()
    assert (flag["reason"], flag["value"]) == ("STATIC", "b")
    assert Customer.objects.count() == 0


def test_what_the_client_knows_goes_over_what_is_stored(site: Site, key: str) -> None:
    experiment = make_flag("a", "b", audience={"country": "DE", "orders": {"$gte": 3}})
    customer = make_customer(attributes={"country": "DE", "orders": 1}).external_key

    def reason(**attributes: Any) -> str:
        answer = evaluate(site, key, experiment.key, targetingKey=customer, **attributes)
        return str(answer.json()["metadata"]["reason"])

    assert reason() == "not_in_audience"
    assert reason(orders=3, country="FR") == "not_in_audience"
    assert reason(orders=3) == "assigned"
    assert reason() == "kept"


def test_a_visitors_key_names_the_customer_that_the_visitor_became(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    customer = make_customer()
    Identity.objects.create(customer=customer, kind="anonymous_id", value="browser")
    evaluate(site, key, experiment.key, targetingKey="anonymous:browser")
    assert Exposure.objects.get().customer == customer


def test_a_new_visitor_is_made_with_an_identity(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    evaluate(site, key, experiment.key, targetingKey="anonymous:browser")
    assert Identity.objects.get(value="browser").customer == Exposure.objects.get().customer


def test_a_required_hold_out_is_met_too(site: Site, key: str) -> None:
    holdout = make_experiment(
        arms=[
            ArmPlan("held", "Held", 5000, is_control=True),
            ArmPlan("open", "Open", 5000),
        ],
        is_standalone=True,
        is_holdout=True,
    )
    experiment = make_flag("a", "b")
    required = Arm.objects.get(experiment=holdout, key="open")
    Prerequisite.objects.create(experiment=experiment, arm=required)
    for number in range(5):
        evaluate(site, key, experiment.key, targetingKey=f"c{number}")
    assert Exposure.objects.filter(experiment=holdout).count() == 5


def guard(experiment: Experiment) -> Experiment:
    """Keep an experiment from who is held out."""
    holdout = make_flag("held", "open", is_holdout=True)
    required = Arm.objects.get(experiment=holdout, key="v1")
    Prerequisite.objects.create(experiment=experiment, arm=required)
    return holdout


@pytest.mark.parametrize("is_shipped", [False, True])
def test_of_all_flags_each_says_what_using_it_meets_to_the_held_out_too(
    site: Site, key: str, *, is_shipped: bool
) -> None:
    flag, plain = make_flag("a", "b"), make_flag("a", "b")
    holdout = guard(flag)
    if is_shipped:
        ship_arm(flag, "v1", **DECIDED)
    customers = [customer_in(holdout.seed, start, start + 5000) for start in (0, 5000)]
    told = [flags_of(evaluate_all(site, key, targetingKey=each)) for each in customers]
    assert Exposure.objects.count() == 0
    for customer, flags in zip(customers, told, strict=True):
        events = json.loads(flags[flag.key]["metadata"]["exposures"])
        evaluate(site, key, flag.key, targetingKey=customer)
        met = Exposure.objects.filter(customer__external_key=customer)
        assert sorted((each["experiment_id"], each["variation_id"]) for each in events) == sorted(
            met.values_list("experiment__key", "arm__key")
        )
        assert met.filter(experiment=holdout).exists()
        # Nothing of a hold-out by a flag that does not keep to it.
        (event,) = json.loads(flags[plain.key]["metadata"]["exposures"])
        assert event == {
            "experiment_id": plain.key,
            "variation_id": flags[plain.key]["metadata"]["arm"],
        }


def test_what_was_met_is_not_to_be_reported_again(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    guard(experiment)
    assert "exposures" not in evaluate(site, key, experiment.key).json()["metadata"]
    assert "exposures" not in flags_of(evaluate_all(site, key))[experiment.key]["metadata"]


def test_who_was_told_of_by_the_arm_alone_meets_the_hold_out_when_asked_for(
    site: Site, key: str
) -> None:
    experiment = make_flag("a", "b")
    holdout = guard(experiment)
    customer = Customer.objects.create(external_key=customer_in(holdout.seed, 5000, 10_000))
    arm = experiment.arms.get(key="v1")
    Exposure.objects.create(experiment=experiment, customer=customer, arm=arm, exposed_at=NOW)
    flag = evaluate(site, key, experiment.key, targetingKey=customer.external_key).json()
    assert flag["metadata"]["reason"] == "kept"
    assert Exposure.objects.get(experiment=holdout).arm.key == "v1"


def test_what_was_shipped_is_the_controls_for_the_held_out(site: Site, key: str) -> None:
    holdout = make_flag("held", "open", is_holdout=True)
    experiment = make_flag("a", "b")
    required = Arm.objects.get(experiment=holdout, key="v1")
    Prerequisite.objects.create(experiment=experiment, arm=required)
    ship_arm(experiment, "v1", **DECIDED)
    held, given = (customer_in(holdout.seed, start, start + 5000) for start in (0, 5000))
    for customer, value in ((held, "a"), (given, "b")):
        one = evaluate(site, key, experiment.key, targetingKey=customer).json()
        flags = flags_of(evaluate_all(site, key, targetingKey=customer))
        assert (one["value"], flags[experiment.key]) == (value, one)
    met = Exposure.objects.values_list("customer__external_key", "arm__key")
    assert set(met) == {(held, "v0"), (given, "v1")}
    # The side that was met is kept, whatever the hash says.
    Exposure.objects.filter(customer__external_key=given).update(arm=holdout.arms.get(key="v0"))
    assert evaluate(site, key, experiment.key, targetingKey=given).json()["value"] == "a"
    # Who has no key is on no side of it.
    assert post(site, key, f"{ALL}/{experiment.key}", {}).json()["value"] == "b"
    assert flags_of(post(site, key, ALL, {}))[experiment.key]["value"] == "b"


def test_without_a_key_only_what_is_drawn_is_missing(site: Site, key: str) -> None:
    drawn, decided = make_flag("a", "b"), make_flag("a", "b", audience={"plan": "pro"})
    ship_arm(decided, "v1", **DECIDED)
    answer = post(site, key, f"{ALL}/{drawn.key}", {})
    assert (answer.status, answer.json()["errorCode"]) == (400, "TARGETING_KEY_MISSING")
    empty: tuple[Any, ...] = ({}, {"context": {}})
    for nothing in empty:
        assert post(site, key, f"{ALL}/{decided.key}", nothing).json()["reason"] == "DEFAULT"
    body = {"context": {"plan": "pro"}}
    assert post(site, key, f"{ALL}/{decided.key}", body).json()["reason"] == "TARGETING_MATCH"
    flags = flags_of(post(site, key, ALL, body))
    assert flags[drawn.key]["errorCode"] == "TARGETING_KEY_MISSING"
    assert flags[decided.key]["value"] == "b"


def test_an_unknown_flag_is_not_found(site: Site, key: str) -> None:
    answer = evaluate(site, key, "nothing")
    assert answer.status == 404
    assert answer.json()["key"] == "nothing"
    assert answer.json()["errorCode"] == "FLAG_NOT_FOUND"
    assert answer.json()["errorDetails"]


@pytest.mark.parametrize("scope", [Scope.FLAGS, Scope.DECIDE])
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_either_scope_and_either_header_opens_it(site: Site, scope: Scope, header: str) -> None:
    experiment = make_flag("a", "b")
    _, key = make_source(scope)
    value = f"Bearer {key}" if header == "authorization" else key
    answer = site.post(f"{ALL}/{experiment.key}", {"context": {"targetingKey": "a"}},
                       headers={header: value})  # fmt: skip
    assert answer.status == 200


def test_who_may_not_ask_is_told_in_json(site: Site) -> None:
    experiment = make_flag("a", "b")
    _, events_key = make_source(Scope.EVENTS)
    for path in (ALL, f"{ALL}/{experiment.key}"):
        for key, status in ((events_key, 403), ("ol_wrong", 401)):
            answer = post(site, key, path, {"context": {"targetingKey": "ada"}})
            assert (answer.status, bool(answer.json()["errorDetails"])) == (status, True)
    assert Exposure.objects.count() == 0


# What follows is a trap each, into which published clients fell.


def test_whoever_asks_too_often_is_told_whole_seconds(site: Site) -> None:
    source, key = make_source(Scope.FLAGS)
    source.requests_per_second = 1
    source.save(update_fields=["requests_per_second"])
    answers = [evaluate_all(site, key) for _ in range(12)]
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.headers["retry-after"].isdecimal()
    assert refused.json()["errorDetails"]


def test_variant_and_a_standard_reason_are_always_there(site: Site, key: str) -> None:
    standard = set(get_args(FlagReason))
    drawn, outside = make_flag("a", "b"), make_flag("a", "b", traffic=0)
    paused, shipped = make_flag(None, "b"), make_flag("a", None)
    pause_experiment(paused, **DECIDED)
    ship_arm(shipped, "v1", **DECIDED)
    flags = flags_of(evaluate_all(site, key))
    assert set(flags) == {each.key for each in (drawn, outside, paused, shipped)}
    for flag in flags.values():
        assert flag["variant"] in {"v0", "v1"}
        assert flag["reason"] in standard


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"{bad", "PARSE_ERROR"),
        (b"\xff", "PARSE_ERROR"),
        (b'{"context":{"a":' + b"[" * 200_000, "PARSE_ERROR"),
        ({"context": {"targetingKey": "a\0"}}, "PARSE_ERROR"),
        ([], "INVALID_CONTEXT"),
        ({"context": None}, "INVALID_CONTEXT"),
        ({"context": []}, "INVALID_CONTEXT"),
        ({"context": {"targetingKey": 5}}, "INVALID_CONTEXT"),
        ({"context": {"targetingKey": ""}}, "INVALID_CONTEXT"),
        ({"context": {"targetingKey": "a" * 256}}, "INVALID_CONTEXT"),
    ],
)
def test_a_malformed_question_says_which_code_and_what_details(
    site: Site, key: str, body: Any, code: str
) -> None:
    for path, named in ((ALL, {}), (f"{ALL}/flag", {"key": "flag"})):
        answer = post(site, key, path, body)
        assert answer.status == 400, answer.text
        said = answer.json()
        assert said.pop("errorDetails")
        assert said == {"errorCode": code, **named}


@pytest.mark.parametrize(
    ("values", "written"),
    [((10.0, 10.5), '"value":10.0'), ((10, 10.5), '"value":10.0'), ((10, 11), '"value":10,')],
)
def test_a_float_stays_a_float_through_the_database(
    site: Site, key: str, values: tuple[float, float], written: str
) -> None:
    experiment = make_flag(*values, traffic=0)
    assert written in evaluate(site, key, experiment.key).text


def test_only_an_arm_without_a_payload_leaves_the_value_out(site: Site, key: str) -> None:
    # The JavaScript server provider takes no flag without a value.
    explicit, absent = make_flag("a", "b", traffic=0), make_flag(None, "b", traffic=0)
    flags = flags_of(evaluate_all(site, key))
    assert flags[explicit.key]["value"] == "a"
    assert "value" not in flags[absent.key]


def test_another_context_makes_another_etag(site: Site, key: str) -> None:
    decided = make_flag("free", "paid", audience={"plan": "pro"})
    ship_arm(decided, "v1", **DECIDED)
    free = evaluate_all(site, key, plan="free")
    # A web client keeps the tag when attributes change and the customer does not.
    pro = evaluate_all(site, key, plan="pro", tag=free.headers["etag"])
    assert flags_of(pro)[decided.key]["value"] == "paid"
    assert pro.headers["etag"] != free.headers["etag"]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}'])
def test_what_did_not_change_is_not_sent_again(site: Site, key: str, form: str) -> None:
    make_flag("a", "b")
    tag = evaluate_all(site, key).headers["etag"]
    assert tag.startswith('"')
    assert tag.endswith('"')
    answer = evaluate_all(site, key, tag=form.format(tag))
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == tag
    assert evaluate_all(site, key, tag='"other"').status == 200


def test_another_configuration_makes_another_etag(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    tag = evaluate_all(site, key).headers["etag"]
    roll_back(experiment, **DECIDED)
    site.run(asyncio.sleep(0.3))
    changed = evaluate_all(site, key, tag=tag)
    assert flags_of(changed)[experiment.key]["reason"] == "STATIC"


@pytest.mark.parametrize("flag", ["a/b%20c", "a%20b", "a%00b", "ä", "%ff"])
def test_a_key_that_no_experiment_can_have_is_not_found(site: Site, key: str, flag: str) -> None:
    # Clients put keys into the address as they are.
    assert evaluate(site, key, f"{flag}?d").status == 404


def test_any_page_may_ask_and_read_the_headers_that_matter(site: Site, key: str) -> None:
    preflight = site.request("OPTIONS", ALL)
    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "x-api-key", "content-type", "if-none-match"} <= set(allowed)
    exposed = evaluate_all(site, key).headers["access-control-expose-headers"].split(", ")
    assert {"etag", "retry-after"} <= set(exposed)


def test_a_server_that_knows_nothing_yet_answers_in_json(open_ofrep: OpenOfrep, key: str) -> None:
    with open_ofrep(database=NO_DATABASE) as site:
        answer = evaluate_all(site, key)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"]


def test_who_is_outside_gets_the_reason_default(site: Site, key: str) -> None:
    experiment = make_flag("a", "b", audience={"country": "DE"})
    assert evaluate(site, key, experiment.key, country="FR").json()["reason"] == "DEFAULT"


@pytest.mark.parametrize("value", [{"a": [1, {}]}, [], [1, 2.5, "x", None], {}])
def test_objects_and_lists_are_values(site: Site, key: str, value: Any) -> None:
    experiment = make_flag(value, value)
    assert evaluate(site, key, experiment.key).json()["value"] == value


# Without PostgreSQL.


def test_without_the_database_flags_are_drawn_all_the_same(open_ofrep: OpenOfrep, key: str) -> None:
    drawn, decided = make_flag("a", "b"), make_flag("a", "b")
    ship_arm(decided, "v1", **DECIDED)
    with open_ofrep() as sound:
        usual = flags_of(evaluate_all(sound, key))
    with open_ofrep(lookups=NO_DATABASE) as site:
        one = evaluate(site, key, drawn.key)
        every = evaluate_all(site, key)
        static = evaluate(site, key, decided.key)
    assert one.json()["variant"] == usual[drawn.key]["variant"]
    assert one.json()["metadata"]["degraded"] is True
    assert every.json()["metadata"] == {"degraded": True}
    assert flags_of(every)[drawn.key] == one.json()
    # It takes no customer to know what everybody gets.
    assert static.json() == flags_of(every)[decided.key] == usual[decided.key]
    assert Exposure.objects.count() == 0


def test_without_the_database_the_context_is_all_that_is_known(
    open_ofrep: OpenOfrep, key: str
) -> None:
    experiment = make_flag("a", "b", audience={"country": "DE"})
    customer = make_customer(attributes={"country": "DE"}).external_key
    with open_ofrep(lookups=NO_DATABASE) as site:
        unknown = evaluate(site, key, experiment.key, targetingKey=customer).json()
        told = evaluate(site, key, experiment.key, targetingKey=customer, country="DE").json()
    assert unknown["metadata"]["reason"] == "not_in_audience"
    assert told["metadata"]["reason"] == "assigned"


def test_waiting_in_vain_happens_once(open_ofrep: OpenOfrep, key: str, caplog: Any) -> None:
    experiment = make_flag("a", "b")
    with open_ofrep(lookups=NO_DATABASE) as site:
        answers = [evaluate(site, key, experiment.key, targetingKey=f"c{i}") for i in range(5)]
    assert {answer.status for answer in answers} == {200}
    waits = [record for record in caplog.records if "without their customers" in record.message]
    assert len(waits) == 1


def test_what_cannot_be_recorded_is_answered_as_degraded(
    site: Site, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_flag("a", "b")
    usual = flags_of(evaluate_all(site, key))[experiment.key]
    monkeypatch.setattr("experiments.ofrep.customers.PATIENCE_SECONDS", 0.3)
    with locked_table("experiments_exposure"):
        flag = evaluate(site, key, experiment.key).json()
    assert flag == {**usual, "metadata": {**usual["metadata"], "degraded": True}}
    assert Exposure.objects.count() == 0


def test_a_broken_connection_spoils_one_answer_only(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    whole = evaluate(site, key, experiment.key).json()
    end_sessions()
    assert evaluate(site, key, experiment.key).json()["metadata"]["degraded"] is True
    again = evaluate(site, key, experiment.key).json()
    assert again == {**whole, "metadata": {**whole["metadata"], "reason": "kept"}}
