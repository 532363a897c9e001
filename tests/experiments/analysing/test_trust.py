"""What is wrong with the data is found through the whole analysis, from rows to findings."""

from datetime import datetime
from typing import Any

import numpy as np
import pytest

from audience.models import Customer
from experiments.analysing.analysis import analyse
from experiments.models import Experiment, Prediction
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    make_customers,
    make_events,
    make_experiment,
    make_metric,
)

pytestmark = pytest.mark.django_db

LATER = NOW + 28 * DAY
ORDER, REFUND = "Order Completed", "Order Refunded"


def codes(experiment: Experiment, *, now: datetime = LATER) -> dict[str, Any]:
    findings = analyse(experiment, now=now).report["findings"]
    return {finding["code"]: finding for finding in findings}


def come(experiment: Experiment, arm: str, customers: int, *, orders: int = 0) -> list[Customer]:
    """Let customers meet an arm, and some of them order at different times later."""
    people = make_customers(customers)
    expose(experiment, people, arm, at=NOW)
    make_events(
        [
            event_row(person, ORDER, at=NOW + HOUR + number * 26 * HOUR / 10, value=10.0)
            for number, person in enumerate(people[:orders])
        ]
    )
    return people


def test_a_sound_experiment_has_nothing_wrong() -> None:
    experiment = make_experiment(planned_customers=400)
    come(experiment, "control", 200, orders=100)
    come(experiment, "new", 200, orders=110)
    assert codes(experiment) == {}


def test_arms_that_differed_before_are_found() -> None:
    experiment = make_experiment(planned_customers=400)
    for arm, share in (("control", 0.2), ("new", 0.8)):
        people = come(experiment, arm, 200, orders=100)
        make_events(
            [
                event_row(person, ORDER, at=NOW - DAY, value=5.0)
                for person in people[: int(share * 200)]
            ]
        )
    assert codes(experiment)["unequal_before"]["severity"] == "blocking"


@pytest.mark.parametrize(("strata", "severity"), [("plan", "blocking"), ("", "warning")])
def test_an_attribute_that_an_arm_changed_is_found_and_no_stratum(
    strata: str, severity: str
) -> None:
    # Who is upgraded orders more, and the new arm upgrades more: within plans no arm is better.
    experiment = make_experiment(planned_customers=800, strata=strata, segments=["plan"])
    for arm, upgraded in (("control", 160), ("new", 240)):
        for plan, customers, share in (("pro", upgraded, 0.5), ("free", 400 - upgraded, 0.1)):
            people = make_customers(customers, attributes={"plan": plan})
            expose(experiment, people, arm, at=NOW)
            buyers = people[: int(share * customers)]
            make_events([event_row(one, ORDER, at=NOW + HOUR, value=10.0) for one in buyers])
    assert codes(experiment)["segments_shifted"]["severity"] == severity


def test_one_customer_who_makes_most_of_the_takings_is_found() -> None:
    goal, spend = make_metric(), make_metric(kind="mean")
    experiment = make_experiment(goal=goal, others=[spend], planned_customers=800)
    come(experiment, "control", 400, orders=200)
    whale, *_ = come(experiment, "new", 400, orders=200)
    make_events([event_row(whale, ORDER, at=NOW + 2 * HOUR, value=50_000.0)])
    found = codes(experiment)
    assert "New" in found["outlier"]["detail"]


def test_two_experiments_that_spoil_each_other_are_found() -> None:
    ours, theirs = make_experiment(planned_customers=1600), make_experiment()
    for our_arm in ("control", "new"):
        for their_arm in ("control", "new"):
            is_both = our_arm == their_arm == "new"
            people = come(ours, our_arm, 400, orders=60 if is_both else 200)
            expose(theirs, people, their_arm, at=NOW)
    assert theirs.name in codes(ours)["interaction"]["detail"]


def test_an_effect_that_fades_is_found() -> None:
    experiment = make_experiment(goal=make_metric(kind="mean", of="count"), planned_customers=800)
    rng = np.random.default_rng(2)
    rows = []
    for arm in ("control", "new"):
        people = make_customers(400)
        expose(experiment, people, arm, at=NOW)
        for person in people:
            early = int(rng.poisson(3 if arm == "new" else 1))
            hours = [*rng.uniform(0, 7 * 24, early), *rng.uniform(7 * 24, 14 * 24, rng.poisson(1))]
            rows += [event_row(person, ORDER, at=NOW + float(hour) * HOUR) for hour in hours]
    make_events(rows)
    assert "effect_fades" in codes(experiment)


def test_events_that_stop_are_found() -> None:
    experiment = make_experiment(planned_customers=4000)
    come(experiment, "control", 100, orders=90)
    come(experiment, "new", 100, orders=90)
    for arm in ("control", "new"):
        expose(experiment, make_customers(200), arm, at=NOW + 20 * DAY)
    assert "events_missing" in codes(experiment)


def test_an_early_look_is_noted() -> None:
    experiment = make_experiment(planned_customers=400)
    come(experiment, "control", 200, orders=10)
    come(experiment, "new", 200, orders=10)
    note = codes(experiment, now=NOW + DAY)["too_early"]
    assert note["severity"] == "note"


def test_the_cause_of_a_lopsided_split_is_named() -> None:
    experiment = make_experiment(planned_customers=2000, segments=["device"])
    for device, control, new in (("phone", 400, 200), ("desktop", 400, 400), ("tablet", 300, 300)):
        for arm, count in (("control", control), ("new", new)):
            people = make_customers(count, attributes={"device": device})
            expose(experiment, people, arm, at=NOW)
    assert "phone" in codes(experiment)["sample_ratio_mismatch"]["detail"]


def test_a_prediction_made_before_exposure_takes_noise_away() -> None:
    spend = make_metric(kind="mean")
    experiment = make_experiment(
        goal=spend, planned_customers=400, prediction="spend", history_days=0
    )
    rng = np.random.default_rng(4)
    rows, predictions = [], []
    for arm in ("control", "new"):
        people = make_customers(200)
        expose(experiment, people, arm, at=NOW)
        for person in people:
            expected = float(rng.uniform(10, 100))
            value = expected + float(rng.normal(0, 5))
            rows.append(event_row(person, ORDER, at=NOW + HOUR, value=value))
            predictions.append(
                Prediction(name="spend", customer=person, value=expected, predicted_at=NOW - HOUR)
            )
    make_events(rows)
    Prediction.objects.bulk_create(predictions)
    (metric,) = analyse(experiment, now=LATER).report["metrics"]
    # 25 of a variance of 675 + 25 is left.
    assert metric["variance_removed"]["new"] == pytest.approx(1 - 25 / 700, abs=0.02)


def test_strata_take_away_what_differs_between_them() -> None:
    spend = make_metric(kind="mean")
    experiment = make_experiment(
        goal=spend, planned_customers=400, strata="country", history_days=0
    )
    rng = np.random.default_rng(6)
    rows = []
    for arm, rich in (("control", 90), ("new", 110)):
        for country, count, mean in (("rich", rich, 100.0), ("poor", 200 - rich, 10.0)):
            people = make_customers(count, attributes={"country": country})
            expose(experiment, people, arm, at=NOW)
            rows += [
                event_row(person, ORDER, at=NOW + HOUR, value=mean + float(rng.normal(0, 5)))
                for person in people
            ]
    make_events(rows)
    (metric,) = analyse(experiment, now=LATER).report["metrics"]
    raw, adjusted = metric["raw"]["new"]["difference"], metric["results"]["new"]["difference"]
    assert raw == pytest.approx(9.0, abs=1.5)  # 10% more of the rich, who spend 90 more
    assert adjusted == pytest.approx(0.0, abs=1.5)
    assert "Post-stratification by 2 strata" in metric["results"]["new"]["method"]


def pay(experiment: Experiment, arm: str, currency: str | None, customers: int) -> None:
    """Let customers meet an arm and order for 10, and one in ten of them give 4 back."""
    people = make_customers(customers)
    expose(experiment, people, arm, at=NOW)
    said = {} if currency is None else {"currency": currency}
    make_events(
        [event_row(p, ORDER, at=NOW + HOUR, value=10.0, properties=said) for p in people]
        + [
            event_row(p, REFUND, at=NOW + 2 * HOUR, value=4.0, properties=said)
            for p in people[: customers // 10]
        ]
    )


def test_orders_in_several_currencies_are_not_added_up_unnoticed() -> None:
    spend = make_metric(kind="mean", less=REFUND, currency="EUR")
    experiment = make_experiment(goal=spend, planned_customers=400)
    pay(experiment, "control", "eur", 200)
    pay(experiment, "new", "EUR", 150)
    pay(experiment, "new", "USD", 50)
    # Another event in another currency is nothing to a metric that does not count it.
    make_events(
        [
            event_row(person, "Gift Sent", at=NOW + HOUR, value=1.0, properties={"currency": "JPY"})
            for person in come(experiment, "new", 10)
        ]
    )
    found = codes(experiment)["several_currencies"]
    assert found["severity"] == "blocking"
    assert "counts values in EUR (88%) and USD (12%)" in found["detail"]
    assert found["evidence"]["found"][0]["counted"] == {"EUR": 385, "USD": 55}


def test_a_metric_of_one_currency_counts_no_other_and_says_so() -> None:
    spend = make_metric(kind="mean", less=REFUND, currency="EUR", only_in_currency=True)
    experiment = make_experiment(goal=spend, planned_customers=400, history_days=0)
    pay(experiment, "control", "EUR", 200)
    pay(experiment, "new", "eur", 100)
    pay(experiment, "new", "USD", 80)
    pay(experiment, "new", None, 20)
    report = analyse(experiment, now=LATER).report
    (metric,) = report["metrics"]
    assert metric["means"] == {"control": pytest.approx(9.6), "new": pytest.approx(4.8)}
    (note,) = [one for one in report["findings"] if one["code"] == "currencies_left_out"]
    assert note["severity"] == "note"
    assert "leaves out 110 of 440 events" in note["detail"]


def test_metrics_that_only_count_read_no_currencies() -> None:
    experiment = make_experiment(planned_customers=400)
    pay(experiment, "control", "EUR", 200)
    pay(experiment, "new", "USD", 200)
    assert not {code for code in codes(experiment) if "currenc" in code}
