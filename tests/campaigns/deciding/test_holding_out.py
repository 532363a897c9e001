"""Whom an epoch holds out gets nothing from any campaign, and both sides of it are met alike."""

from pathlib import Path

import numpy as np
import pytest
from django.utils import timezone

from audience.models import Customer
from campaigns.deciding.holdout import ARM
from campaigns.models import Campaign
from experiments.analysing.analysis import analyse
from experiments.assigning.assignment import BUCKETS, bucket_of
from experiments.lifecycle.status import stop_experiment
from experiments.models import Experiment, Exposure, Status
from recommender.models import Decision, Reward
from tests.campaigns.offices import NOWHERE, open_office, shown, visit
from tests.makers import (
    HOUR,
    event_row,
    make_campaign,
    make_events,
    make_holdout,
    make_offer,
    merge,
)
from wire.notices import announce_change

pytestmark = pytest.mark.django_db(transaction=True)
KEYS = [f"shopper-{n}" for n in range(60)]


def start(**plan: object) -> Campaign:
    plan = {"offers": [make_offer()], "hold_minutes": 0} | plan
    return make_campaign(started_at=timezone.now(), **plan)  # type: ignore[arg-type]


def held_out(holdout: Experiment) -> set[str]:
    """Find who is held out, by the hash alone."""
    share = holdout.arms.get(is_control=True).weight
    return {key for key in KEYS if bucket_of(holdout.seed, key) < share}


def reached(campaign: Campaign) -> set[str]:
    given = Decision.objects.filter(campaign=campaign.key, offer__isnull=False)
    return set(given.values_list("customer__external_key", flat=True))


def customer(key: str) -> Customer:
    return Customer.objects.get(external_key=key)


def met(experiment: Experiment) -> dict[str, str]:
    exposures = Exposure.objects.filter(experiment=experiment)
    return dict(exposures.values_list("customer__external_key", "arm__key"))


def test_no_campaign_reaches_who_is_held_out(tmp_path: Path) -> None:
    holdout, home, cart = make_holdout(), start(), start()
    with open_office(tmp_path) as office:
        office.serve(*(visit(campaign, key) for key in KEYS for campaign in (home, cart)))
    out = held_out(holdout)
    assert 10 < len(out) < 50
    assert met(holdout) == {key: "held-out" if key in out else "open" for key in KEYS}
    for campaign in (home, cart):
        assert reached(campaign) <= set(KEYS) - out
        # What a campaign's own experiment compares are customers whom it could reach.
        assert met(campaign.experiment).keys() == set(KEYS) - out
    decisions = Decision.objects.filter(customer__external_key__in=out)
    assert decisions.count() == 2 * len(out)
    for decision in decisions:
        assert (decision.arm, decision.offer, decision.propensity) == (ARM, None, 1.0)
        assert decision.reasons == [f"hold-out of all campaigns: {holdout.name}"]
        assert decision.policy_id is None
        assert not Reward.objects.filter(decision=decision).exists()


def test_a_decision_for_nothing_holds_as_long_as_an_offer(tmp_path: Path) -> None:
    make_holdout(percent=99)
    campaign, brief = start(hold_minutes=30), start(hold_minutes=0)
    key = next(iter(held_out(Experiment.objects.get(is_global=True))))
    with open_office(tmp_path) as office:
        for _ in range(3):
            office.serve(visit(campaign, key), visit(brief, key))
    assert Decision.objects.filter(campaign=campaign.key).count() == 1
    assert Decision.objects.filter(campaign=brief.key).count() == 3


def test_an_epoch_holds_out_also_who_met_a_campaign_before_and_lets_go_at_its_end(
    tmp_path: Path,
) -> None:
    campaign = start()
    with open_office(tmp_path) as office:
        everybody = [visit(campaign, key) for key in KEYS]
        before = office.serve(*everybody)
        holdout = make_holdout(started_at=timezone.now())
        office.runner.run(office.snapshot.look(at_once=True))
        during = office.serve(*everybody)
        # As it could be done before that was refused.
        Experiment.objects.filter(pk=holdout.pk).update(status=Status.PAUSED)
        announce_change()
        office.runner.run(office.snapshot.look(at_once=True))
        paused = office.serve(*everybody)
        stop_experiment(holdout, by=None, now=timezone.now())
        office.runner.run(office.snapshot.look(at_once=True))
        after = office.serve(*everybody)
    out = held_out(holdout)
    count = shown(before).total()
    assert shown(during).total() == shown(paused).total() < count
    assert shown(after).total() == count
    arms = Decision.objects.filter(arm=ARM).values_list("customer__external_key", flat=True)
    assert set(arms) == out


def test_a_visitor_who_turns_out_to_be_a_customer_stays_on_the_same_side(tmp_path: Path) -> None:
    holdout, campaign = make_holdout(), start()
    out = held_out(holdout)
    visitor = next(key for key in KEYS if key in out)
    ann = next(key for key in KEYS if key not in out)
    with open_office(tmp_path) as office:
        office.serve(visit(campaign, visitor))
        merge(customer(visitor), into=Customer.objects.create(external_key=ann))
        office.serve(visit(campaign, ann))
    last = Decision.objects.order_by("-decided_at").first()
    assert last is not None
    assert last.arm == ARM


def test_without_the_database_they_are_held_out_too(tmp_path: Path) -> None:
    holdout, campaign = make_holdout(), start()
    out = held_out(holdout)
    with open_office(tmp_path, NOWHERE) as office:
        outcomes = office.serve(*(visit(campaign, key) for key in KEYS))
        office.drain()
    got = {
        key
        for key, outcome in zip(KEYS, outcomes, strict=True)
        for slate in outcome.slates.values()
        if slate is not None and slate.slots[0].content is not None
    }
    assert got <= set(KEYS) - out
    assert met(holdout) == {key: "held-out" if key in out else "open" for key in KEYS}


def test_whom_traffic_leaves_aside_campaigns_reach_and_nothing_measures(tmp_path: Path) -> None:
    holdout = make_holdout(percent=50)
    Experiment.objects.filter(pk=holdout.pk).update(traffic=BUCKETS // 2)
    campaign = start()
    with open_office(tmp_path) as office:
        office.serve(*(visit(campaign, key) for key in KEYS))
    aside = {key for key in KEYS if key not in met(holdout)}
    assert 10 < len(aside) < 50
    assert met(campaign.experiment).keys() >= aside


def test_what_campaigns_do_together_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    holdout, campaigns = make_holdout(planned_customers=500), (start(), start())
    keys = [f"buyer-{n}" for n in range(500)]
    with open_office(tmp_path) as office:
        office.serve(*(visit(campaign, key) for key in keys for campaign in campaigns))
    # Each campaign that gives somebody an offer brings a chance of a third to order.
    reached = Decision.objects.filter(offer__isnull=False).values_list("customer_id", flat=True)
    at = timezone.now()
    orders = [Customer.objects.get(pk=pk) for pk in reached if rng.random() < 1 / 3]
    make_events([event_row(customer, "Order Completed", at=at, value=1) for customer in orders])
    report = analyse(holdout, now=at + HOUR).report
    (goal,) = report["metrics"]
    result = goal["results"]["open"]
    # A tenth of each campaign's customers is held out by itself.
    truth = 1 - (1 - 0.9 / 3) ** 2
    error = (truth * (1 - truth) / result["n_treatment"]) ** 0.5
    assert goal["means"]["held-out"] == 0
    assert abs(goal["means"]["open"] - truth) < 3 * error
    assert report["customers"] == 500
