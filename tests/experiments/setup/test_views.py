"""A marketer sets an experiment up, step by step, and can go back at any of them."""

from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from experiments.models import ExclusionGroup, Experiment, Metric, Prerequisite, Role, Status
from experiments.setup.arms import read_value, write_value
from tests.makers import (
    HOUR,
    make_customers,
    make_event,
    make_experiment,
    make_metric,
    make_user,
)

pytestmark = pytest.mark.django_db


def browse(user: User | None = None) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(user or make_user(is_superuser=True))
    return client


@pytest.fixture
def client() -> Client:
    return browse()


@pytest.fixture
def draft(client: Client) -> Experiment:
    answer = client.post("/setup/", {"name": "Free shipping", "hypothesis": "It sells more."})
    assert answer["location"] == "/setup/free-shipping/arms/"
    return Experiment.objects.get(key="free-shipping")


def send(client: Client, draft: Experiment, step: str, **data: Any) -> Any:
    return client.post(f"/setup/{draft.key}/{step}/", data)


ARMS = {
    "arm_count": 2, "variable_count": 2, "control": 0,
    "arm_0_key": "control", "arm_0_name": "As is", "arm_0_share": 40,
    "arm_1_key": "treatment", "arm_1_name": "Free", "arm_1_share": 60,
    "variable_0_name": "free", "variable_0_0": "false", "variable_0_1": "true",
    "variable_1_name": "from", "variable_1_0": "", "variable_1_1": "25.5",
}  # fmt: skip


def test_a_draft_has_two_arms_and_a_trace(draft: Experiment) -> None:
    assert (draft.status, draft.is_standalone) == (Status.DRAFT, True)
    assert [(a.key, a.weight) for a in draft.arms.all()] == [("control", 5000), ("treatment", 5000)]
    assert draft.created_by is not None
    assert draft.changes.get().action == "drafted"


def test_a_review_says_that_nothing_is_measured_yet(client: Client, draft: Experiment) -> None:
    assert "None yet" in client.get(f"/setup/{draft.key}/").content.decode()


def test_who_comes_late_to_the_set_up_finds_the_report(client: Client) -> None:
    running = make_experiment(is_standalone=True)
    for address in (f"/setup/{running.key}/", f"/setup/{running.key}/arms/"):
        page = client.post(address, {"do": "approve"}, follow=True)
        assert page.redirect_chain == [(running.get_absolute_url(), 302)]
        assert "is running: it is not set up any more." in page.content.decode()
    assert client.get(f"/setup/{running.key}/planner/").status_code == 404


def test_a_second_one_of_the_name_gets_a_key_of_its_own(client: Client, draft: Experiment) -> None:
    client.post("/setup/", {"name": "Free shipping!", "hypothesis": "Again."})
    assert Experiment.objects.filter(key="free-shipping-2").exists()
    nameless = client.post("/setup/", {"name": "!!!", "hypothesis": "Again."})
    assert "at least one letter or digit" in nameless.content.decode()


def test_a_name_in_other_letters_than_latin_ones_is_a_name(client: Client) -> None:
    client.post("/setup/", {"name": "Бесплатная доставка", "hypothesis": "Ещё раз."})
    made = Experiment.objects.get(name="Бесплатная доставка")
    assert made.key == "experiment"


def test_arms_keep_their_keys_and_carry_typed_values(client: Client, draft: Experiment) -> None:
    assert send(client, draft, "arms", **ARMS)["location"] == "/setup/free-shipping/audience/"
    control, free = draft.arms.all()
    assert (control.key, control.name, control.weight) == ("control", "As is", 4000)
    assert (free.key, free.payload) == ("treatment", {"free": True, "from": 25.5})
    assert (control.is_control, control.payload) == (True, {"free": False})
    page = client.get(f"/setup/{draft.key}/arms/").content.decode()
    assert 'value="25.5"' in page


def test_a_plain_value_that_only_code_gives_stays(client: Client, draft: Experiment) -> None:
    draft.arms.filter(key="treatment").update(payload="new-checkout")
    bare = {name: value for name, value in ARMS.items() if not name.startswith("variable_")}
    assert client.get(f"/setup/{draft.key}/arms/").status_code == 200
    send(client, draft, "arms", **bare, variable_count=0)
    assert draft.arms.get(key="treatment").payload == "new-checkout"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"arm_1_share": 50}, "add up to 90%"),
        ({"control": 7}, "not one of the available choices"),
        ({"arm_1_name": ""}, "This field is required"),
        ({"variable_0_name": ""}, "Name this value"),
        ({"variable_1_name": "free"}, "is there already"),
        ({"variable_1_1": "{broken"}, "begins like JSON"),
        ({"variable_1_1": '"\\u0000"'}, "character zero"),
        ({"variable_0_name": "two words"}, "Enter a valid value"),
    ],
)
def test_arms_that_make_no_sense_are_explained(
    client: Client, draft: Experiment, change: dict[str, Any], says: str
) -> None:
    answer = send(client, draft, "arms", **(ARMS | change))
    assert answer.status_code == HTTPStatus.OK
    assert says in answer.content.decode()
    assert draft.arms.get(key="control").name == "Control"


def test_a_row_is_added_without_a_script_and_without_complaints(
    client: Client, draft: Experiment
) -> None:
    page = send(client, draft, "arms", **(ARMS | {"arm_1_share": "", "add": "arm"}))
    text = page.content.decode()
    assert 'name="arm_2_name"' in text
    assert "This field is required" not in text
    assert 'value="25.5"' in text


def test_a_third_arm_comes_and_goes(client: Client, draft: Experiment) -> None:
    third = ARMS | {"arm_count": 3, "arm_1_share": 30, "arm_2_name": "Free!", "arm_2_share": 30}
    send(client, draft, "arms", **third)
    assert [a.key for a in draft.arms.all()] == ["control", "treatment", "free"]
    send(
        client,
        draft,
        "arms",
        **(third | {"arm_2_key": "free", "arm_2_name": "", "arm_1_share": 60}),
    )
    assert [a.key for a in draft.arms.all()] == ["control", "treatment"]


def test_an_arm_that_something_requires_cannot_go(client: Client, draft: Experiment) -> None:
    third = ARMS | {"arm_count": 3, "arm_1_share": 30, "arm_2_name": "Free!", "arm_2_share": 30}
    send(client, draft, "arms", **third)
    other = make_experiment(is_standalone=True, started_at=None)
    Prerequisite.objects.create(experiment=other, arm=draft.arms.get(key="free"))
    page = send(client, draft, "arms", **(ARMS | {"arm_count": 2}))
    assert "requires the arm Free!" in page.content.decode()
    assert draft.arms.count() == 3


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("true", True), ("7", 7), ("-2.5", -2.5), ("1e3", 1000.0), ("Hello", "Hello"),
        ('"7"', "7"), ("[1, 2]", [1, 2]), ('{"a": null}', {"a": None}), ("10 %", "10 %"),
        ("0012", "0012"), ("NaN", "NaN"), ("-", "-"),
    ],
)  # fmt: skip
def test_values_are_read_as_people_mean_them_and_written_back(raw: str, value: Any) -> None:
    assert read_value(raw) == value
    assert type(read_value(raw)) is type(value)
    assert read_value(write_value(value)) == value


def test_an_audience_is_a_condition_and_comes_back_as_rows(
    client: Client, draft: Experiment
) -> None:
    make_customers(2, attributes={"country": "de", "age": 30, "zip": "01067"})
    data = {
        "condition_count": 4, "traffic": 25,
        "attribute_0": "country", "operator_0": "is one of", "value_0": "de, fr",
        "attribute_1": "age", "operator_1": "is at least", "value_1": "18",
        "attribute_2": "zip", "operator_2": "is", "value_2": "01067",
        "attribute_3": "age", "operator_3": "is known", "value_3": "",
    }  # fmt: skip
    assert send(client, draft, "audience", **data)["location"] == "/setup/free-shipping/metrics/"
    draft.refresh_from_db()
    assert draft.traffic == 2500
    assert draft.audience == {
        "$and": [
            {"country": {"$in": ["de", "fr"]}},
            {"age": {"$gte": 18}},
            {"zip": {"$eq": "01067"}},
            {"age": {"$exists": True}},
        ]
    }
    page = client.get(f"/setup/{draft.key}/audience/").content.decode()
    assert 'value="de, fr"' in page
    assert 'value="01067"' in page
    count = client.post(f"/setup/{draft.key}/count/", data).content.decode()
    assert "<b>2</b> customers today" in count


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"attribute_0": "age", "operator_0": "is", "value_0": ""}, "Say what it is compared with"),
        ({"attribute_0": "age", "operator_0": "is at most", "value_0": "x"}, "with a number"),
        ({"traffic": 0}, "greater than or equal to 0.01"),
        ({"new_group": "Checkout"}, "How much of the group"),
        ({"operator_0": "$where"}, "not one of the available choices"),
    ],
)
def test_audiences_that_make_no_sense_are_explained(
    client: Client, draft: Experiment, change: dict[str, Any], says: str
) -> None:
    page = send(client, draft, "audience", condition_count=1, **({"traffic": 100} | change))
    assert says in page.content.decode()


def test_a_group_gives_each_experiment_buckets_of_its_own(
    client: Client, draft: Experiment
) -> None:
    base = {"condition_count": 1, "traffic": 100}
    send(client, draft, "audience", **base, new_group="Checkout", group_share=60)
    draft.refresh_from_db()
    group = ExclusionGroup.objects.get(key="checkout")
    assert (draft.group, draft.group_from, draft.group_until) == (group, 0, 6000)
    client.post("/setup/", {"name": "Other", "hypothesis": "Too."})
    other = Experiment.objects.get(key="other")
    full = send(client, other, "audience", **base, group=group.pk, group_share=50)
    assert "has 40% left in one piece" in full.content.decode()
    send(client, other, "audience", **base, group=group.pk, group_share=40)
    other.refresh_from_db()
    assert (other.group_from, other.group_until) == (6000, 10_000)


def test_a_group_may_have_a_name_in_other_letters_than_latin_ones(
    client: Client, draft: Experiment
) -> None:
    base = {"condition_count": 1, "traffic": 100, "group_share": 60}
    send(client, draft, "audience", **base, new_group="Корзина")
    draft.refresh_from_db()
    assert draft.group == ExclusionGroup.objects.get(name="Корзина")
    client.post("/setup/", {"name": "Other", "hypothesis": "Too."})
    full = send(
        client, Experiment.objects.get(key="other"), "audience", **base, new_group="Корзина"
    )
    assert "has 40% left in one piece" in full.content.decode()


def test_a_new_draft_keeps_to_hold_outs_until_somebody_says_otherwise(client: Client) -> None:
    holdout = make_experiment(is_standalone=True, is_holdout=True)
    client.post("/setup/", {"name": "New", "hypothesis": "It."})
    draft = Experiment.objects.get(key="new")
    assert draft.prerequisites.get().arm.experiment == holdout
    send(client, draft, "audience", condition_count=1, traffic=100, holdouts=[holdout.pk])
    assert draft.prerequisites.count() == 1
    send(client, draft, "audience", condition_count=1, traffic=100)
    assert draft.prerequisites.count() == 0


def test_a_hold_out_has_its_own_arms(client: Client) -> None:
    client.post("/setup/?holdout", {"name": "2026", "hypothesis": "All of it helps."})
    draft = Experiment.objects.get(key="2026")
    assert draft.is_holdout
    assert [(a.key, a.weight) for a in draft.arms.all()] == [("held-out", 500), ("open", 9500)]
    page = client.get("/setup/2026/audience/").content.decode()
    assert "Exclusion group" not in page


def test_metrics_get_their_roles(client: Client, draft: Experiment) -> None:
    goal, guard, other = make_metric(), make_metric(), make_metric()
    data = {
        "goal": goal.pk, "guardrail_count": 1, "guardrail_0": guard.pk, "margin_0": 2,
        "secondary": [other.pk],
    }  # fmt: skip
    assert send(client, draft, "metrics", **data)["location"] == "/setup/free-shipping/plan/"
    assert [(row.metric, row.role, row.margin) for row in draft.measured.all()] == [
        (goal, Role.GOAL, None),
        (guard, Role.GUARDRAIL, 0.02),
        (other, Role.SECONDARY, None),
    ]
    twice = send(client, draft, "metrics", **(data | {"guardrail_0": goal.pk}))
    assert "is chosen already" in twice.content.decode()
    lost = send(client, draft, "metrics", **(data | {"guardrail_0": ""}))
    assert "Of which metric?" in lost.content.decode()
    again = send(client, draft, "metrics", **(data | {"secondary": [guard.pk]}))
    assert "chosen above already" in again.content.decode()


def test_the_plan_is_kept(client: Client, draft: Experiment) -> None:
    make_customers(1, attributes={"country": "de"})
    data = {
        "planned_customers": 4000, "minimum_days": 7, "planned_end": "2027-01-31",
        "monitoring": "group_sequential", "history_days": 14, "strata": "country",
        "segments": ["country"],
    }  # fmt: skip
    assert send(client, draft, "plan", **data)["location"] == "/setup/free-shipping/"
    draft.refresh_from_db()
    assert (draft.planned_customers, draft.segments, draft.strata) == (4000, ["country"], "country")
    proposed = client.get(f"/setup/{draft.key}/plan/?planned_customers=777").content.decode()
    assert 'value="777"' in proposed


def test_the_planner_says_why_it_cannot_say(client: Client, draft: Experiment) -> None:
    address = f"/setup/{draft.key}/planner/"
    data: dict[str, Any] = {"planner-entry": "Visit", "planner-lift": 10, "planner-power": 80}
    assert "Choose the goal first" in client.get(address, data).content.decode()
    send(client, draft, "metrics", goal=make_metric().pk, guardrail_count=1)
    assert "at least 100 are needed" in client.get(address, data).content.decode()
    wrong = client.get(address, data | {"planner-lift": "x"}).content.decode()
    assert "Enter a number" in wrong


def test_the_whole_way_from_idea_to_running(draft: Experiment) -> None:
    ann, rita = make_user(is_superuser=True), make_user(is_superuser=True)
    client, reviewer = browse(ann), browse(rita)
    make_event(make_customers(1)[0], "Order Completed", at=timezone.now() - HOUR)
    send(client, draft, "arms", **ARMS)
    send(
        client, draft, "metrics",
        goal=make_metric().pk, guardrail_count=1, guardrail_0=make_metric().pk,
    )  # fmt: skip
    review = f"/setup/{draft.key}/"
    assert "found nothing to put right" in client.get(review).content.decode()
    client.post(review, {"do": "request", "note": "please look"})
    own = client.post(review, {"do": "approve"}, follow=True).content.decode()
    assert "Somebody other than who asked" in own
    # Nobody changes what is looked at by an old tab.
    assert send(client, draft, "plan", planned_customers=9)["location"] == review
    reviewer.post(review, {"do": "approve", "note": "good"})
    started = client.post(f"/experiments/{draft.key}/do/start/", {"reason": "ready"}, follow=True)
    draft.refresh_from_db()
    assert draft.status == Status.RUNNING
    assert "please look" in started.content.decode()
    assert client.get(review)["location"] == draft.get_absolute_url()


def test_what_is_not_possible_is_refused_in_words(client: Client, draft: Experiment) -> None:
    page = client.post(f"/experiments/{draft.key}/do/start/", {"reason": "now"}, follow=True)
    assert "Only what is approved can be started" in page.content.decode()
    page = client.get(f"/experiments/{draft.key}/do/pause/", follow=True)
    assert "cannot be done" in page.content.decode()
    assert client.get(f"/experiments/{draft.key}/do/fly/").status_code == HTTPStatus.NOT_FOUND
    assert client.get(f"/setup/{draft.key}/fly/").status_code == HTTPStatus.NOT_FOUND
    page = client.post(f"/setup/{draft.key}/", {"do": "fly"}, follow=True)
    assert "You may not do this" in page.content.decode()


def test_metrics_are_defined_without_json(client: Client) -> None:
    data = {
        "name": "Spend", "event": "Order Completed", "of": "value", "less": "Order Refunded",
        "window_days": 14, "cap_percentile": 99, "currency": "EUR", "higher_is_better": "yes",
    }  # fmt: skip
    answer = client.post("/metrics/new/mean/?next=/setup/x/metrics/", data)
    assert answer["location"] == "/setup/x/metrics/"
    metric = Metric.objects.get(key="spend")
    assert metric.params == {
        "event": "Order Completed", "of": "value", "less": "Order Refunded", "window_days": 14.0,
        "cap": {"percentile": 99.0}, "currency": "EUR",
    }  # fmt: skip
    client.post("/metrics/new/mean/", data | {"name": "In euros", "only_in_currency": "on"})
    assert Metric.objects.get(key="in-euros").params == metric.params | {"only_in_currency": True}
    elsewhere = client.post("/metrics/new/mean/?next=https://evil.example/", data)
    assert elsewhere["location"] == "/metrics/"
    assert Metric.objects.filter(key="spend-2").exists()
    wrong = client.post("/metrics/new/mean/", data | {"of": "count"}).content.decode()
    assert "has no currency" in wrong


@pytest.mark.parametrize(
    ("kind", "data", "params"),
    [
        ("conversion", {"event": "Order"}, {"event": "Order"}),
        (
            "ratio",
            {"numerator": "Order", "numerator_of": "value", "denominator": "Visit",
             "denominator_of": "count", "is_share": ""},
            {"numerator": {"event": "Order", "of": "value"},
             "denominator": {"event": "Visit", "of": "count"}},
        ),
        ("quantile", {"event": "Order", "percentile": 90, "over": "events"},
         {"event": "Order", "percentile": 90.0, "over": "events"}),
        ("retention", {"event": "Visit", "from_day": 0, "to_day": 7},
         {"event": "Visit", "from_day": 0.0, "to_day": 7.0}),
        ("funnel", {"steps": "Visit\n\nOrder"},
         {"steps": [{"event": "Visit"}, {"event": "Order"}]}),
    ],
)  # fmt: skip
def test_every_type_of_metric_has_its_form(
    client: Client, kind: str, data: dict[str, Any], params: dict[str, Any]
) -> None:
    common = {"name": f"My {kind}", "higher_is_better": "no"}
    assert client.get(f"/metrics/new/{kind}/").status_code == HTTPStatus.OK
    client.post(f"/metrics/new/{kind}/", common | data)
    metric = Metric.objects.get(key=f"my-{kind}")
    assert (metric.params, metric.higher_is_better) == (params, False)
