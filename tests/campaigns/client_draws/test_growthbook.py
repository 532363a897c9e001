"""Campaigns as features: a client gives whom `decide` gives what, and tells by which weights."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from campaigns.client_draws.draws import DrawName, draw_by_baseline, draw_by_leaves
from campaigns.client_draws.growthbook import next_change, to_extras
from campaigns.deciding.decide import Asked, _arm_of
from campaigns.deciding.eligibility import Budget, Window
from campaigns.deciding.holdout import RunningHoldout
from campaigns.deciding.recall import Known
from campaigns.deciding.snapshot import RunningArm, RunningCampaign, Serves, Snapshot
from experiments.growthbook.context import Context
from experiments.growthbook.payload import Extras, to_payload
from experiments.growthbook.resolving import resolve_features
from tests.campaigns.client_draws.leaved import (
    ARMS,
    LEAVES,
    NOW,
    OFFERS,
    VERSION,
    evaluate,
    make_attributes,
    make_campaign,
    make_leaves,
    make_offer,
    make_snapshot,
    value_of,
)

HOUR = timedelta(hours=1)
CUSTOMERS = [{"id": f"c{n}", **known} for n, known in enumerate(make_attributes(600, seed=2))]
SUMMER = to_extras(make_snapshot(make_campaign()), now=NOW)


def arm_of(campaign: RunningCampaign, key: str) -> tuple[RunningArm | None, bool]:
    """Return the arm that deciding gives, and whether it is newly met."""
    return _arm_of(campaign, Asked("home", 1, key, {}, NOW), Known(1, key))


def extras_of(campaign: RunningCampaign) -> Extras:
    return to_extras(make_snapshot(campaign), now=NOW)


def tracked(extras: Extras, **attributes: Any) -> dict[str, Any]:
    """Return results by experiment, as a client's callback is told of them."""
    tracks = evaluate(extras, "summer", **attributes).tracks
    return {track["experiment"]["key"]: track["result"] for track in tracks}


def test_clients_give_everybody_the_arm_that_deciding_gives() -> None:
    campaign = make_campaign(arms=(*ARMS[:2], replace(ARMS[2], weight=500)))
    extras = extras_of(campaign)
    for customer in CUSTOMERS:
        arm, _ = arm_of(campaign, customer["id"])
        told = tracked(extras, **customer).get("summer")
        assert (told and told["key"]) == (arm and arm.key)


def test_who_is_held_out_gets_nothing_and_counts() -> None:
    campaign = make_campaign()
    held_out = [c for c in CUSTOMERS if (a := arm_of(campaign, c["id"])[0]) and a.key == "hold-out"]
    assert len(held_out) > 30
    for customer in held_out:
        assert value_of(SUMMER, **customer) is None
        assert list(tracked(SUMMER, **customer)) == ["summer"]


def test_no_client_shows_anything_to_who_is_held_out_from_all_campaigns() -> None:
    holdout = RunningHoldout(9, "Q1", "q1", (7, 8), ((3000, 6000), (6000, 9000)), held_out=7)
    snapshot = replace(make_snapshot(make_campaign()), holdout=holdout)
    extras = to_extras(snapshot, now=NOW)
    out = [customer for customer in CUSTOMERS if holdout.place(customer["id"]) == 7]
    assert len(out) > 100
    for customer in CUSTOMERS:
        if customer in out:
            assert value_of(extras, **customer) is None
            assert tracked(extras, **customer) == {}
        else:
            assert value_of(extras, **customer) == value_of(SUMMER, **customer)
            assert tracked(extras, **customer) == tracked(SUMMER, **customer)


def test_the_control_gets_the_baseline_by_its_shares() -> None:
    campaign = make_campaign()
    draw, seed = draw_by_baseline(campaign, now=NOW), DrawName("summer").seed
    counts: Counter[str] = Counter()
    for number in range(6000):
        key = f"n{number}"
        arm, _ = arm_of(campaign, key)
        if arm is None or arm.serves is not Serves.BASELINE:
            continue
        value = value_of(SUMMER, id=key)
        assert value["key"] == draw.draw(seed=seed, customer_key=key)
        counts[value["key"]] += 1
    n = counts.total()
    for offer, share in zip(OFFERS, (1 / 6, 2 / 6, 3 / 6), strict=True):
        assert abs(counts[offer] / n - share) < 4 * (share * (1 - share) / n) ** 0.5


def test_the_policy_gives_the_offer_of_the_leaf_and_tells_by_which_weights() -> None:
    campaign, seed = make_campaign(), DrawName("summer", VERSION).seed
    seen = set()
    for customer in CUSTOMERS:
        arm, _ = arm_of(campaign, customer["id"])
        if arm is None or arm.serves is not Serves.POLICY:
            continue
        leaf = LEAVES.find(customer)
        draw = draw_by_leaves(LEAVES, leaf.id, [True] * 3)
        offer = draw.draw(seed=seed, customer_key=customer["id"])
        told = tracked(SUMMER, **customer)["summer:12"]
        assert (told["key"], told["value"]["headline"]) == (offer, f"Take the {offer}")
        assert (told["leafId"], told["banditVersion"]) == (leaf.id, VERSION)
        assert told["variationWeights"] == list(draw.weights)
        seen.add(leaf.id)
    assert seen == set(range(len(LEAVES.leaves)))


def test_sdks_that_know_no_bandits_draw_by_pooled_weights() -> None:
    old = [
        rule for rule in SUMMER.features["summer"]["rules"] if "contextualVariations" not in rule
    ]
    extras = Extras({**SUMMER.features, "summer": {"defaultValue": None, "rules": old}})
    pooled = draw_by_leaves(LEAVES, None, [True] * 3)
    told = [t for c in CUSTOMERS if (t := tracked(extras, **c).get("summer:12:pooled"))]
    assert len(told) > 300
    for each in told:
        offer = pooled.draw(seed="summer:12", customer_key=each["hashValue"])
        assert each["key"] == offer


def test_a_kept_variation_is_not_kept_for_another_version() -> None:
    drawing = [r for r in SUMMER.features["summer"]["rules"] if r["key"] != "summer"]
    assert [rule["disableStickyBucketing"] for rule in drawing] == [True] * 3


def test_remote_evaluation_tells_the_same() -> None:
    payload = to_payload({}, extras=[SUMMER])
    for customer in CUSTOMERS[:100]:
        resolved = resolve_features(
            Context(
                features=payload["features"],
                contextual_bandits=payload["contextualBandits"],
                attributes=customer,
            )
        )
        remote = Extras(resolved)
        assert value_of(remote, **customer) == value_of(SUMMER, **customer)
        assert tracked(remote, **customer) == tracked(SUMMER, **customer)


def test_a_halted_arm_gets_what_the_control_gets_and_meets_nobody() -> None:
    halted = RunningArm(2, "personalised", 7000, Serves.BASELINE, is_halted=True)
    campaign = make_campaign(arms=(ARMS[0], halted, ARMS[2]))
    extras, draw = extras_of(campaign), draw_by_baseline(campaign, now=NOW)
    for customer in CUSTOMERS:
        arm, is_new = arm_of(campaign, customer["id"])
        told = tracked(extras, **customer)
        assert ("summer" in told) is is_new
        if arm is not None and arm.serves is Serves.BASELINE:
            offer = draw.draw(seed="summer:baseline", customer_key=customer["id"])
            assert told["summer:baseline"]["key"] == offer


@pytest.mark.parametrize("policy", [{"leaves": None}, {"leaves_expire_at": NOW}])
def test_a_policy_without_leaves_or_with_expired_ones_does_as_the_control(
    policy: dict[str, Any],
) -> None:
    extras = extras_of(make_campaign(policy=policy))
    assert extras.contextual_bandits == {}
    for customer in CUSTOMERS[:200]:
        told = tracked(extras, **customer)
        is_held_out = told["summer"]["key"] == "hold-out"
        assert set(told) == ({"summer"} if is_held_out else {"summer", "summer:baseline"})


def test_what_may_not_be_shown_is_drawn_by_nobody() -> None:
    offers = [make_offer("gift"), make_offer("saving", total=3), make_offer("trial", starts_at=NOW)]
    extras = extras_of(make_campaign(*offers))
    values = [value_of(extras, **customer) for customer in CUSTOMERS]
    assert {value["key"] for value in values if value is not None} == {"gift", "trial"}
    weights = {leaf["weights"][1] for leaf in extras.contextual_bandits["summer"]["contexts"]}
    assert weights == {0.0}


def test_an_offer_that_left_the_campaign_keeps_its_place_in_the_leaves() -> None:
    extras = extras_of(make_campaign(make_offer("trial"), make_offer("new")))
    told = [t for c in CUSTOMERS if (t := tracked(extras, **c).get("summer:12"))]
    assert {each["key"] for each in told} == {"trial"}
    assert {tuple(each["variationWeights"]) for each in told} == {(0.0, 0.0, 1.0)}


def test_where_nothing_may_be_shown_there_is_the_fallback_if_it_may_be() -> None:
    gone = [make_offer(key, is_active=False) for key in OFFERS]
    fallback, budget = make_offer("hello"), Budget("summer", 100)
    for_some = replace(fallback, rules=replace(fallback.rules, audience=4))
    for campaign, expected in (
        (make_campaign(*gone, fallback=fallback), {"hello", None}),
        (make_campaign(*gone, fallback=make_offer("hello", is_active=False)), {None}),
        (make_campaign(*gone, fallback=make_offer("hello", total=1)), {"hello", None}),
        (make_campaign(*gone, fallback=make_offer("hello", cost=5)), {"hello", None}),
        # What is spent of a budget, and who is in an audience, no client knows.
        (make_campaign(*gone, fallback=make_offer("hello", cost=5), budget=budget), {None}),
        (make_campaign(*gone, fallback=fallback, budget=budget), {"hello", None}),
        (make_campaign(*gone, fallback=for_some), {None}),
        (make_campaign(*gone), {None}),
    ):
        extras = extras_of(campaign)
        values = [value_of(extras, **customer) for customer in CUSTOMERS[:200]]
        assert {value and value["key"] for value in values} == expected


def test_an_only_offer_and_an_only_arm_are_drawn_too() -> None:
    leaves = make_leaves(["gift"])
    everybody = (replace(ARMS[1], weight=10_000),)
    campaign = make_campaign(make_offer("gift"), policy={"leaves": leaves}, arms=everybody)
    for customer in CUSTOMERS[:50]:
        told = tracked(extras_of(campaign), **customer)
        assert told["summer"]["key"] == "personalised"
        assert told["summer:12"]["key"] == "gift"
        assert told["summer:12"]["variationWeights"] == [1.0, 0.0]


def test_campaigns_come_and_go_at_their_time() -> None:
    window = Window(NOW + HOUR, NOW + 3 * HOUR)
    offers = [make_offer("gift", ends_at=NOW + 2 * HOUR), make_offer("trial")]
    campaign = make_campaign(
        *offers,
        window=window,
        fallback=make_offer("hello", starts_at=NOW + 5 * HOUR),
        policy={"leaves_expire_at": NOW + 4 * HOUR},
    )
    snapshot = make_snapshot(campaign)
    moments = [NOW]
    while (moment := next_change(snapshot, now=moments[-1])) is not None:
        moments.append(moment)
    assert [moment - NOW for moment in moments] == [n * HOUR for n in range(6)]
    runs = ["summer" in to_extras(snapshot, now=moment).features for moment in moments]
    assert runs == [False, True, True, False, False, False]


def test_nothing_runs_and_nothing_will_change() -> None:
    assert to_extras(Snapshot(), now=NOW) == Extras()
    assert next_change(Snapshot(), now=NOW) is None
    assert next_change(make_snapshot(make_campaign()), now=NOW) is None
