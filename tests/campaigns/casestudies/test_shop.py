"""The simulated shop is a campaign like any other, and its truth is known."""

from datetime import timedelta
from typing import Any

import pytest

from audience.importing.copying import CustomerRow, import_customers
from campaigns.casestudies.planted import Claim, check_report, expected_conversions, say_claims
from campaigns.casestudies.shop import KEY, find_missing_shoppers, is_reported, open_shop
from campaigns.models import Campaign
from campaigns.tasks import evaluate_campaign
from experiments.analysing.analysis import analyse
from experiments.stats.estimate import Estimate, Interval
from experiments.stats.proportions import compare_proportions
from recommender.models import Decision
from recommender.simulators.shop import Rates, Shop
from tests.makers import NOW
from tests.shopping import open_for_business, send_wave

SHOP = Shop(seed=5)


@pytest.fixture
def campaign(django_db_reset_sequences: None, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """Let 1,600 shoppers come in two waves."""
    return open_for_business(SHOP, shoppers=1600, waves=2, monkeypatch=monkeypatch)


def test_shop_opens_with_a_holdout_and_the_shoppers_attributes(db: None) -> None:
    campaign = open_shop(SHOP, shoppers=400, now=NOW)
    assert campaign.get_status_display() == "Running"
    arms = {arm.key: arm.weight for arm in campaign.experiment.arms.all()}
    assert arms == {"control": 3000, "personalised": 5500, "hold-out": 1500}
    features = [feature["attribute"] for feature in campaign.policy.features["features"]]
    assert features == ["segment", "age", "device"]
    assert tuple(campaign.policy.offers) == SHOP.offers


def test_same_shoppers_fall_into_the_same_arms(db: None) -> None:
    campaign = open_shop(SHOP, shoppers=400, now=NOW)
    assert campaign.experiment.seed == f"{KEY}:5"


def test_interrupted_run_goes_on_where_it_stopped(transactional_db: None) -> None:
    campaign = open_shop(SHOP, shoppers=6, now=NOW)
    import_customers(CustomerRow(each.key, each.attributes) for each in SHOP.shoppers(6))
    assert find_missing_shoppers(campaign, SHOP) == [0, 1, 2, 3, 4, 5]
    send_wave(campaign, SHOP, [0, 1, 4], at=NOW)
    assert find_missing_shoppers(campaign, SHOP) == [2, 3, 5]


def test_report_is_there_after_analysis_and_evaluation(campaign: Campaign) -> None:
    assert not is_reported(campaign)
    evaluate_campaign(campaign)
    assert is_reported(campaign)


def test_report_on_some_of_the_shoppers_is_not_the_report(db: None) -> None:
    campaign = open_shop(SHOP, shoppers=400, now=NOW)
    assert not is_reported(campaign)
    analyse(campaign.experiment, now=NOW)
    assert not is_reported(campaign)


def test_expected_conversions_are_those_of_the_offers_shown(campaign: Campaign) -> None:
    expected = expected_conversions(campaign, SHOP)
    assert expected["hold-out"] == pytest.approx(SHOP.conversion_without_offer)
    decisions = Decision.objects.filter(arm="personalised").select_related("customer")
    probabilities = [
        SHOP.order_probability(
            SHOP.shopper(int(d.customer.external_key.removeprefix("shopper-"))), d.offer
        )
        for d in decisions
    ]
    assert expected["personalised"] == pytest.approx(sum(probabilities) / len(probabilities))


def test_later_decisions_and_strangers_change_no_truth(campaign: Campaign) -> None:
    before = expected_conversions(campaign, SHOP)
    import_customers([CustomerRow(SHOP.shopper(400).key)])
    send_wave(campaign, SHOP, [0, 1, 2, 400], at=NOW + timedelta(hours=1))
    assert expected_conversions(campaign, SHOP) == before


def test_claims_are_the_numbers_of_the_report(campaign: Campaign) -> None:
    claims = {claim.name: claim for claim in check_report(campaign, SHOP)}
    goal = campaign.experiment.analyses.latest().report["metrics"][0]
    assert claims["conversion, control"].measured == pytest.approx(goal["means"]["control"])
    assert claims["conversion, hold-out"].measured == pytest.approx(goal["means"]["hold-out"])
    assert claims["conversion, hold-out"].planted == pytest.approx(0.08)
    turned = claims["lift, control over hold-out"]
    assert turned.planted == pytest.approx(SHOP.lift_uniform_over_none)
    # Holding the control against the hold-out must give what holding it the other way does.
    counts = {arm: round(m["n"] * m["mean"][0]) for arm, m in moments(campaign).items()}
    again = compare_proportions(
        x_c=counts["hold-out"],
        n_c=moments(campaign)["hold-out"]["n"],
        x_t=counts["control"],
        n_t=moments(campaign)["control"]["n"],
    )
    assert isinstance(again, Estimate)
    assert again.relative_interval is not None
    assert turned.measured == pytest.approx(again.relative)
    assert turned.interval.low == pytest.approx(again.relative_interval.low)
    assert turned.interval.high == pytest.approx(again.relative_interval.high)


def moments(campaign: Campaign) -> dict[str, Any]:
    found: dict[str, Any] = campaign.experiment.analyses.latest().moments["arms"]
    return found


@pytest.mark.parametrize(
    ("shop", "shoppers", "reason"),
    [
        (SHOP, 2, "came and ordered to compare"),
        (Shop(seed=5, rates=Rates(none=0, wrong=0, best=0.5)), 1600, "ordered to say a lift"),
    ],
)
def test_too_few_shoppers_prove_nothing(
    django_db_reset_sequences: None,
    monkeypatch: pytest.MonkeyPatch,
    shop: Shop,
    shoppers: int,
    reason: str,
) -> None:
    campaign = open_for_business(shop, shoppers=shoppers, waves=1, monkeypatch=monkeypatch)
    with pytest.raises(ValueError, match=f"Too few shoppers {reason}"):
        check_report(campaign, shop)


def test_missed_truth_is_admitted() -> None:
    right = Claim("conversion, control", 0.12, Interval(0.11, 0.13), 0.1175)
    wrong = Claim("lift, personalised over control", 0.1, Interval(0.02, 0.2), 0.43, is_lift=True)
    text = " ".join(" ".join(say_claims([right, wrong], SHOP)).split())
    assert "conversion, control 12.0% 11.0% to 13.0% 11.8% covered" in text
    assert "control +10% +2.0% to +20% +43% MISSED" in text
    assert "Missed: lift, personalised over control." in text
    assert "Every interval covers the truth" in "\n".join(say_claims([right], SHOP))
