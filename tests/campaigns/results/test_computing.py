"""A campaign's result is what pandas, scipy and statsmodels make of the raw rows."""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from campaigns.lifecycle.status import divide_campaign
from campaigns.models import CampaignResult, Offer
from campaigns.results.computing import compute_result, find_due
from experiments.analysing.analysis import analyse
from experiments.lifecycle.status import stop_experiment
from recommender.models.rankings import Product
from tests.campaigns.results.shop import (
    COSTS,
    LATER,
    ORDER,
    WINDOW,
    Shop,
    draft_shop,
    open_shop,
    write,
)
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    log_all,
    make_customer,
    make_customers,
    make_event,
    make_events,
)

pytestmark = pytest.mark.django_db
CLOSE = 1e-9


@pytest.fixture
def shop() -> Shop:
    return open_shop(900, seed=7)


def per_customer(shop: Shop) -> pd.DataFrame:
    """Add up what each customer ordered and was given, whatever it belongs to."""
    frame = pd.DataFrame(
        {"arm": pd.Series(shop.arms), "country": pd.Series(shop.countries)}
    ).assign(goal=0.0, revenue=0.0, cost=0.0)
    for event in shop.events:
        is_order = event.name == ORDER
        frame.loc[event.person, "revenue"] += event.value if is_order else -event.value
        frame.loc[event.person, "goal"] = max(frame.loc[event.person, "goal"], float(is_order))
    for decision in shop.decisions:
        frame.loc[decision.person, "cost"] += COSTS.get(decision.offer or "", 0.0)
    return frame.assign(net=frame.revenue - frame.cost, is_out=frame.arm == "hold-out")


def rows_of(part: dict[str, Any]) -> dict[str, Any]:
    return {row["key"]: row for row in part["rows"]}


def check_rows(part: dict[str, Any], frame: pd.DataFrame) -> None:
    """Hold every line against Welch's test on the raw rows."""
    out, served = frame[frame.is_out], frame[~frame.is_out]
    assert (part["held_out"], part["served"]) == (len(out), len(served))
    for key, row in rows_of(part).items():
        assert row["held_out"] == pytest.approx(out[key].mean(), abs=CLOSE)
        assert row["served"] == pytest.approx(served[key].mean(), abs=CLOSE)
        difference = served[key].mean() - out[key].mean()
        assert row["result"]["difference"] == pytest.approx(difference, abs=CLOSE)
        total = row["total"]
        assert total["point"] == pytest.approx(len(served) * difference, abs=1e-6)
        if key == "goal":
            continue
        welch = stats.ttest_ind(served[key], out[key], equal_var=False)
        low, high = welch.confidence_interval(0.95)
        ends = row["result"]["difference_interval"]
        assert (ends["low"], ends["high"]) == pytest.approx((low, high), rel=1e-6)
        assert total["low"] == pytest.approx(len(served) * low, rel=1e-6)


def test_the_campaign_is_compared_with_its_hold_out_and_so_is_each_segment(shop: Shop) -> None:
    report = compute_result(shop.campaign, now=LATER).report
    frame = per_customer(shop)
    check_rows(report, frame)
    assert [(s["dimension"], s["value"]) for s in report["segments"]] == [
        ("country", "de"),
        ("country", "fr"),
    ]
    for segment in report["segments"]:
        check_rows(segment, frame[frame.country == segment["value"]])
    arm = rows_of(report)["net"]["arms"]["control"]
    assert arm["mean"] == pytest.approx(frame[frame.arm == "control"].net.mean(), abs=CLOSE)
    assert report["currency"] == "EUR"
    assert report["problem"] == ""


def attribute(shop: Shop) -> pd.DataFrame:
    """Give each event to the last decision before it, event by event."""
    earned: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for event in shop.events:
        before = [
            (given.at, number)
            for number, given in enumerate(shop.decisions)
            if given.person == event.person
            and given.offer is not None
            and given.at <= event.at < given.at + WINDOW
        ]
        if before:
            found = earned[max(before)[1]]
            found[0] = max(found[0], float(event.name == ORDER))
            found[1] += event.value if event.name == ORDER else -event.value
    rows = [
        (given.person, given.arm, given.offer, given.propensity, *earned[number])
        for number, given in enumerate(shop.decisions)
        if given.offer is not None
    ]
    return pd.DataFrame(rows, columns=["person", "arm", "offer", "propensity", "goal", "revenue"])


def weights_of(decided: pd.DataFrame, offer: str) -> pd.Series:
    """Count each decision for one of two offers by its chance, and by what its arm tells of it."""
    is_it = decided.offer == offer
    chance = decided.propensity.where(is_it, 1 - decided.propensity)
    tells = 1 / (1 / chance).groupby(decided.arm).mean()
    return (decided.arm.map(tells) / decided.propensity)[is_it]


def test_offers_are_valued_by_the_chances_that_were_logged(shop: Shop) -> None:
    report = compute_result(shop.campaign, now=LATER).report
    decided = attribute(shop)
    given = decided.offer.value_counts()
    assert [offer["key"] for offer in report["offers"]] == given.index.tolist()
    for offer in report["offers"]:
        own = decided[decided.offer == offer["key"]]
        assert offer["given"] == len(own)
        assert offer["customers"] == own.person.nunique()
        assert offer["goals"] == own.goal.sum()
        assert offer["revenue"] == pytest.approx(own.revenue.sum(), abs=1e-6)
        assert offer["cost"] == pytest.approx(len(own) * COSTS[offer["key"]])
        assert offer["plain"]["goal"] == pytest.approx(own.goal.mean())
        assert offer["plain"]["revenue"] == pytest.approx(own.revenue.mean())
        # A weighted average whose errors count customers.
        asked, weights = decided.person.nunique(), weights_of(decided, offer["key"])
        for name in ("goal", "revenue"):
            fit = sm.WLS(own[name], np.ones(len(own)), weights=weights).fit(
                cov_type="cluster",
                cov_kwds={"groups": own.person, "use_correction": False},
            )
            value = offer["values"][name]
            assert value["estimate"] == pytest.approx(fit.params.iloc[0], abs=CLOSE)
            margin = stats.norm.ppf(0.975) * fit.bse.iloc[0] * np.sqrt(asked / (asked - 1))
            assert value["high"] - value["estimate"] == pytest.approx(margin, rel=1e-6)
        net, revenue = offer["values"]["net"], offer["values"]["revenue"]
        assert revenue["low"] - net["low"] == pytest.approx(COSTS[offer["key"]])


def test_what_is_left_of_orders_is_counted_once(shop: Shop) -> None:
    policy = shop.campaign.policy
    policy.reward_kind, policy.margin = "sum", 0.4
    policy.save()
    report = compute_result(shop.campaign, now=LATER).report
    rows, frame = rows_of(report), per_customer(shop)
    kept = 0.4 * frame.revenue - frame.cost
    assert rows["net"]["name"] == "Net: 0.4 of revenue less cost"
    assert rows["net"]["served"] == pytest.approx(kept[~frame.is_out].mean(), abs=CLOSE)
    assert rows["revenue"]["served"] == pytest.approx(frame[~frame.is_out].revenue.mean())
    decided = attribute(shop)
    for offer in report["offers"]:
        own = decided[decided.offer == offer["key"]]
        net = 0.4 * own.revenue - COSTS[offer["key"]]
        assert offer["values"]["net"]["estimate"] == pytest.approx(
            np.average(net, weights=weights_of(decided, offer["key"])), abs=CLOSE
        )


def test_weighting_finds_the_effect_that_plain_means_flatter() -> None:
    shop = open_shop(1_500, seed=3)
    report = compute_result(shop.campaign, now=LATER).report
    blue, red = sorted(report["offers"], key=lambda offer: str(offer["key"]))
    decided = attribute(shop)
    # Whom red is given to depends on the country, whose shares are even.
    de = {person for person, country in shop.countries.items() if country == "de"}
    means = decided.groupby([decided.person.isin(de), decided.offer]).goal.mean()
    truth = {key: (means[True, key] + means[False, key]) / 2 for key in ("blue", "red")}
    values = [offer["values"]["goal"] for offer in (red, blue)]
    weighted = values[0]["estimate"] - values[1]["estimate"]
    plain = red["plain"]["goal"] - blue["plain"]["goal"]
    effect = truth["red"] - truth["blue"]
    errors = [(value["high"] - value["low"]) / 2 / stats.norm.ppf(0.975) for value in values]
    assert abs(weighted - effect) < 3 * np.hypot(*errors)
    assert plain - effect > 3 * np.hypot(*errors)


def test_a_policy_sure_of_itself_does_not_hide_what_the_control_tells() -> None:
    """Red has one chance in a hundred, and every second in the control, where it sells to 30%."""
    campaign, rng = draft_shop(), np.random.default_rng(7)
    decisions, events = [], []
    for arm, of_red in (("control", 0.5), ("personalised", 0.01)):
        for customer in make_customers(400):
            expose(campaign.experiment, customer, arm, at=NOW)
            offer = "red" if rng.random() < of_red else "blue"
            p = of_red if offer == "red" else 1 - of_red
            decisions.append(write(campaign, customer, offer, at=NOW, propensity=p, arm=arm))
            if offer == "red" and rng.random() < 0.3:
                events.append(event_row(customer, ORDER, at=NOW + HOUR, value=10))
    log_all(decisions)
    make_events(events)
    report = compute_result(campaign, now=LATER).report
    (red,) = (offer for offer in report["offers"] if offer["key"] == "red")
    value = red["values"]["goal"]
    assert value["low"] < 0.3 < value["high"]
    in_control = sum(log.arm == "control" and log.offer == "red" for log in decisions)
    alone = stats.norm.ppf(0.975) * (0.3 * 0.7 / in_control) ** 0.5
    assert (value["high"] - value["low"]) / 2 < 1.2 * alone


def test_without_a_hold_out_nothing_is_compared() -> None:
    campaign = draft_shop()
    for at in range(3):
        customer = make_customer()
        expose(campaign.experiment, customer, "personalised", at=NOW)
        log_all([write(campaign, customer, "red", at=NOW)])
        make_event(customer, ORDER, at=NOW + at * HOUR, value=10)
    report = compute_result(campaign, now=LATER).report
    for row in report["rows"]:
        assert row["held_out"] is None
        assert row["total"] is None
        assert "Nobody was held out" in row["result"]["reason"]
    assert rows_of(report)["net"]["served"] == pytest.approx(10 - COSTS["red"])


def test_a_campaign_of_minutes_says_what_is_missing() -> None:
    report = compute_result(draft_shop(), now=NOW).report
    assert (report["held_out"], report["served"], report["offers"]) == (0, 0, [])
    assert all(row["result"]["kind"] == "inconclusive" for row in report["rows"])


def test_money_in_two_currencies_is_not_added_up() -> None:
    campaign = draft_shop()
    for arm, currency in (("hold-out", "EUR"), ("personalised", "usd")):
        customer = make_customer()
        expose(campaign.experiment, customer, arm, at=NOW)
        log_all([write(campaign, customer, "red" if arm == "personalised" else None, at=NOW)])
        properties = {"currency": currency}
        make_event(customer, ORDER, at=NOW + HOUR, value=10, properties=properties)
    report = compute_result(campaign, now=LATER).report
    assert "EUR and USD" in report["problem"]
    rows = rows_of(report)
    assert rows["goal"]["served"] == 1
    assert rows["net"]["result"]["reason"] == report["problem"]
    (offer,) = (each for each in report["offers"] if each["key"] == "red")
    assert offer["given"] == 1
    assert offer["revenue"] is offer["cost"] is None
    assert offer["values"]["net"] == {"withheld": report["problem"]}


def test_what_happens_long_after_the_end_does_not_count() -> None:
    campaign = draft_shop(cost=False)
    customer = make_customer()
    expose(campaign.experiment, customer, "control", at=NOW)
    stop_experiment(campaign.experiment, by=None, now=NOW + DAY)
    make_event(customer, ORDER, at=NOW + DAY + WINDOW - HOUR, value=1)
    make_event(customer, ORDER, at=NOW + DAY + WINDOW + HOUR, value=10)
    assert rows_of(compute_result(campaign, now=LATER).report)["revenue"]["served"] == 1


def test_a_result_is_due_once_its_experiment_was_analysed_anew() -> None:
    campaign = draft_shop()
    assert not find_due(now=NOW).exists()
    analyse(campaign.experiment, now=NOW + HOUR)
    assert list(find_due(now=NOW + HOUR)) == [campaign]
    compute_result(campaign, now=NOW + 2 * HOUR)
    assert not find_due(now=LATER).exists()
    analyse(campaign.experiment, now=NOW + 3 * HOUR)
    compute_result(find_due(now=NOW + 4 * HOUR).get(), now=NOW + 4 * HOUR)
    assert CampaignResult.objects.get().computed_at == NOW + 4 * HOUR


def test_a_result_that_took_long_rests() -> None:
    campaign = draft_shop()
    compute_result(campaign, now=NOW)
    CampaignResult.objects.update(rests_until=NOW + 2 * HOUR)
    analyse(campaign.experiment, now=NOW + HOUR)
    assert not find_due(now=NOW + HOUR).exists()
    assert find_due(now=NOW + 2 * HOUR).exists()


def test_of_many_products_those_that_were_given_out_most_are_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaigns.results.computing.MOST_OFFERS", 1)
    Product.objects.create(key="red", facts={"name": "Red shoes"}, said_at=LATER)
    Offer.objects.filter(key="red").update(key="another")
    report = compute_result(shop.campaign, now=LATER).report
    (most,) = report["offers"]
    given = attribute(shop).offer.value_counts()
    assert (most["key"], most["given"]) == (given.index[0], given.iloc[0])
    assert most["name"] == {"red": "Red shoes", "blue": "Blue"}[most["key"]]
    assert report["offers_left_out"] == 1


def test_offers_that_did_nothing_are_worth_nothing_though_shares_changed_as_sales_grew() -> None:
    campaign = draft_shop()
    first = {"hold-out": 400, "control": 50, "personalised": 50}
    then = {"hold-out": 200, "control": 200, "personalised": 400}
    divide_campaign(campaign, _buckets(first), by=None, now=NOW, reason="careful")
    for at, sizes, share in ((NOW + HOUR, first, 0.1), (NOW + 5 * DAY + HOUR, then, 0.4)):
        if at > NOW + DAY:
            divide_campaign(campaign, _buckets(then), by=None, now=at - HOUR, reason="it holds")
        for arm, size in sizes.items():
            people = make_customers(size, attributes={"country": "de"})
            expose(campaign.experiment, people, arm, at=at)
            bought = people[: round(size * share)]
            make_events([event_row(person, ORDER, at=at + HOUR, value=20.0) for person in bought])
    report = compute_result(campaign, now=LATER).report
    for part in (report, *report["segments"]):
        for key in ("goal", "revenue", "net"):
            row = rows_of(part)[key]
            for result in (row["result"], *(arm["result"] for arm in row["arms"].values())):
                assert result["difference"] == pytest.approx(0, abs=CLOSE)
            assert row["served"] == pytest.approx(row["held_out"], abs=CLOSE)
    assert (report["held_out"], report["served"]) == (600, 700)


def _buckets(sizes: dict[str, int]) -> dict[str, int]:
    return {arm: size * 10_000 // sum(sizes.values()) for arm, size in sizes.items()}
