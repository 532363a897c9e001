"""Simulated shoppers come, and the report says what was planted in them, no more."""

import pytest

from campaigns.casestudies.planted import check_report
from campaigns.casestudies.shop import FLOOR
from campaigns.models import Campaign
from campaigns.tasks import evaluate_campaign
from recommender.models import Decision
from recommender.simulators.shop import NO_EFFECT, Rates, Shop
from recommender.weighing.propensities import floor_after
from tests.shopping import open_for_business

SHOPPERS = 2_500
WAVES = 6
# The right offer is worth a third of all shoppers: at this size, some five standard errors.
WORTHWHILE = Shop(seed=12, rates=Rates(none=0.08, wrong=0.09, best=0.35))
USELESS = Shop(seed=12, rates=NO_EFFECT)

pytestmark = pytest.mark.django_db(transaction=True)


def test_planted_lift_is_found_and_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = open_for_business(
        WORTHWHILE, shoppers=SHOPPERS, waves=WAVES, monkeypatch=monkeypatch
    )
    assert verdict(campaign)["kind"] == "win"
    assert verdict(campaign)["sentence"].startswith("Personalised wins: conversion rose from")
    assert [claim.name for claim in check_report(campaign, WORTHWHILE) if not claim.is_true] == []
    # A wave has some 229 personalised shoppers. The first one is shown a quarter best offers by
    # chance, the last one all that the floor lets through, which has fallen; three standard errors
    # either way.
    assert abs(share_of_best_offers(campaign, WORTHWHILE, late=False) - 0.25) < 0.086
    learned = campaign.policy.versions.first()
    assert learned is not None
    let_through = 3 * floor_after(FLOOR, learned=learned.learned_from)
    assert abs(share_of_best_offers(campaign, WORTHWHILE, late=True) - (1 - let_through)) < 0.071
    evaluation = evaluate_campaign(campaign)
    assert evaluation is not None
    uniform = next(r for r in evaluation.rows if r["policy"] == "Every offer equally often")
    assert uniform["advantage"]["low"] > 0
    assert uniform["dr"]["low"] < WORTHWHILE.conversion_uniform < uniform["dr"]["high"]


def test_no_win_is_declared_where_nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = open_for_business(USELESS, shoppers=SHOPPERS, waves=WAVES, monkeypatch=monkeypatch)
    assert verdict(campaign)["kind"] == "flat"
    assert [claim.name for claim in check_report(campaign, USELESS) if not claim.is_true] == []


def verdict(campaign: Campaign) -> dict[str, str]:
    found: dict[str, str] = campaign.experiment.analyses.latest().report["verdict"]
    return found


def share_of_best_offers(campaign: Campaign, shop: Shop, *, late: bool) -> float:
    """Say how often the policy chose the planted offer for the first or last wave's shoppers."""
    decisions = Decision.objects.filter(campaign=campaign.key, arm="personalised").order_by("id")
    rows = list(decisions.values_list("customer__external_key", "offer"))
    some = rows[-len(rows) // WAVES :] if late else rows[: len(rows) // WAVES]
    numbers = [int(key.removeprefix("shopper-")) for key, _ in some]
    best = [shop.best_offer(shop.shopper(number)) for number in numbers]
    return sum(b == offer for b, (_, offer) in zip(best, some, strict=True)) / len(some)
