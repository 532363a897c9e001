"""What clients drew comes back as decisions with exact propensities, or with a reason why not."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
import pytest

from audience.models import Customer, Event, RejectedEvent
from campaigns.client_draws.draws import draw_by_baseline, draw_by_leaves
from campaigns.client_draws.growthbook import to_extras
from campaigns.deciding.draw import is_held_back
from campaigns.lifecycle.status import pause_campaign
from campaigns.models import Offer
from experiments.growthbook.payload import Extras
from experiments.lifecycle.adjusting import halt_arm
from experiments.models import Exposure
from recommender.models import Decision, Policy, PolicyLeaves, Reward
from recommender.weighing.leaves import Leaves
from tests.asgi import Answer, database_url
from tests.campaigns.client_draws.leaved import (
    LEAVES,
    OFFERS,
    SPEC,
    VERSION,
    evaluate,
    make_attributes,
)
from tests.campaigns.client_shop import ClientShop, open_intake, properties_of, read_snapshot
from tests.makers import DAY, HOUR, NOW, make_campaign, make_experiment, make_offer

LATER = NOW + HOUR
KNOWN = make_attributes(60, seed=3)


class Shop(ClientShop):
    """A campaign whose policy has leaves, its payload, and the way in for events."""

    @property
    def extras(self) -> Extras:
        return to_extras(self.running, now=LATER)

    def visit(self, customer: str, **attributes: Any) -> list[dict[str, Any]]:
        """Let a client ask for the offer; return what its tracking callback sends."""
        tracks = evaluate(self.extras, self.campaign.key, id=customer, **attributes).tracks
        return [view(customer, told["experiment"], told["result"]) for told in tracks]

    def send(self, messages: Sequence[Mapping[str, Any]]) -> Answer:
        answer = self.site.post("/v1/batch", {"batch": list(messages)}, key=self.key)
        assert answer.status == 200
        return answer

    def policy_view(self, customer: str = "", **attributes: Any) -> dict[str, Any]:
        """Let somebody of the policy's arm be shown an offer; return the view of that alone."""
        names = [customer] if customer else [f"c{n}" for n in range(200)]
        views = (one for name in names for one in self.visit(name, **attributes))
        return next(
            v for v in views if v["properties"]["experimentId"] == f"{self.campaign.key}:12"
        )


def view(customer: str, experiment: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Write an event as GrowthBook's documentation does."""
    return {
        "type": "track",
        "event": "Experiment Viewed",
        "userId": customer,
        "timestamp": LATER.isoformat(),
        "properties": properties_of(experiment, result),
    }


def told(message: Mapping[str, Any], **properties: Any) -> dict[str, Any]:
    """Let a client tell something else; a property of None is not told."""
    said = {**message["properties"], **properties}
    return {**message, "properties": {k: v for k, v in said.items() if v is not None}}


@pytest.fixture
def shop(transactional_db: None) -> Iterator[Shop]:
    campaign = make_campaign(
        offers=[make_offer(key=key, cost_cents=40 if key == "gift" else 0) for key in OFFERS],
        features=SPEC,
        held_back_share=0.3,
        reward_window_seconds=7200,
    )
    publish(campaign.policy, LEAVES)
    with open_intake(now=NOW + 6 * HOUR) as (site, key, snapshot):
        yield Shop(site, key, snapshot, campaign)


def publish(policy: Policy, leaves: Leaves) -> None:
    PolicyLeaves.objects.create(
        policy=policy, version=leaves.version, table=leaves.to_json(), published_at=NOW
    )


def reasons() -> list[str]:
    return list(RejectedEvent.objects.order_by("pk").values_list("reason", flat=True))


def test_what_clients_drew_is_logged_with_exact_weights(shop: Shop) -> None:
    customers = {f"c{n}": known for n, known in enumerate(KNOWN)}
    traits = [{"type": "identify", "userId": c, "traits": k} for c, k in customers.items()]
    shop.send([*traits, *(m for c, known in customers.items() for m in shop.visit(c, **known))])

    assert reasons() == []
    running = shop.running.campaigns[shop.campaign.placement.key][0]
    baseline = draw_by_baseline(running, now=LATER)
    counts = {"control": 0, "personalised": 0}
    for decision in Decision.objects.select_related("customer"):
        key = decision.customer.external_key
        if decision.arm == "control":
            draw, seed = baseline, f"{running.key}:baseline"
        else:
            leaf = LEAVES.find(customers[key])
            draw, seed = draw_by_leaves(LEAVES, leaf.id, [True] * 3), f"{running.key}:12"
        counts[decision.arm] += 1
        assert decision.offer == draw.draw(seed=seed, customer_key=key)
        assert decision.policy_version == (None if decision.arm == "control" else VERSION)
        assert decision.eligible == list(OFFERS)
        assert decision.weights == [count / 10_000 for count in draw.buckets]
        assert decision.propensity == draw.shares[decision.offer]
        assert decision.features == SPEC.encode(customers[key]).tolist()
        assert decision.decided_at == LATER
        assert decision.held_back is is_held_back(running.policy.key, customer_key=key, share=0.3)
        assert decision.policy == shop.campaign.policy
        assert decision.cost_cents == (40 if decision.offer == "gift" else 0)
    assert min(counts.values()) > 5
    due = set(Reward.objects.values_list("decision_id", "due_at"))
    assert due == {(d.id, LATER + 2 * HOUR) for d in Decision.objects.all()}
    # Whoever is held out met an arm and was decided nothing for.
    assert Exposure.objects.filter(experiment=shop.campaign.experiment).count() == len(customers)
    assert Exposure.objects.filter(arm__key="hold-out").count() == 60 - sum(counts.values())


def test_a_view_of_an_offer_is_one_of_the_arm_as_well(shop: Shop) -> None:
    shop.send([shop.policy_view()])
    exposure = Exposure.objects.get()
    assert (exposure.arm.key, exposure.exposed_at) == ("personalised", LATER)


def test_a_retry_and_another_visit_log_nothing_again(shop: Shop) -> None:
    message = {**shop.policy_view(), "messageId": "m1"}
    later = {**message, "messageId": "m2", "timestamp": (LATER + HOUR).isoformat()}
    shop.send([later, message])
    shop.send([message])
    shop.send([{**message, "messageId": "m3"}])
    assert Decision.objects.get().decided_at == LATER
    assert Event.objects.count() == 3
    assert reasons() == []


def test_a_decision_of_ours_does_not_stand_in_for_a_clients(shop: Shop) -> None:
    message = shop.policy_view()
    shop.send([message])
    Decision.objects.update(reasons=["drawn by policy version 12"])
    shop.send([message])
    assert Decision.objects.count() == 2


def test_another_version_is_another_decision(shop: Shop) -> None:
    first = shop.policy_view()
    publish(shop.campaign.policy, replace_version(13))
    second = [
        m for m in shop.visit(first["userId"])
        if m["properties"]["experimentId"] == f"{shop.campaign.key}:13"
    ]  # fmt: skip
    shop.send([first, *second])
    assert set(Decision.objects.values_list("policy_version", flat=True)) == {12, 13}


@pytest.mark.parametrize(
    "names",
    [
        ("experiment_id", "variation_id", "leaf_id", "bandit_version", "variation_weights"),
        ("experimentId", "variationId", "leafId", None, "variationWeights"),
    ],
)
def test_properties_may_be_written_either_way(shop: Shop, names: Sequence[str | None]) -> None:
    message = shop.policy_view()
    values = message["properties"].values()
    said = {name: v for name, v in zip(names, values, strict=True) if name is not None}
    shop.send([{**message, "properties": said}])
    assert Decision.objects.get().policy_version == VERSION


def test_an_offer_may_be_named_by_its_place(shop: Shop) -> None:
    message = shop.policy_view()
    place = OFFERS.index(message["properties"]["variationId"])
    shop.send([told(message, variationId=place)])
    assert Decision.objects.get().offer == OFFERS[place]


def test_a_visitor_is_drawn_for_by_the_id_that_the_client_has(shop: Shop) -> None:
    message = shop.policy_view()
    visitor = {k: v for k, v in message.items() if k != "userId"}
    shop.send([{**visitor, "anonymousId": message["userId"]}])
    decision = Decision.objects.get()
    assert decision.customer.external_key == f"anonymous:{message['userId']}"


def test_pooled_weights_of_an_older_sdk_are_logged_as_such(shop: Shop) -> None:
    message = shop.policy_view()
    pooled = draw_by_leaves(LEAVES, None, [True] * 3)
    offer = pooled.draw(seed=f"{shop.campaign.key}:12", customer_key=message["userId"])
    said = {"experimentId": f"{shop.campaign.key}:12:pooled", "variationId": offer}
    shop.send([{**message, "properties": said}])
    decision = Decision.objects.get()
    assert decision.weights == [count / 10_000 for count in pooled.buckets]
    assert decision.reasons == [
        "drawn by pooled weights of policy version 12",
        "drawn by the client",
    ]


def test_who_is_in_no_leaf_was_drawn_for_by_pooled_weights(shop: Shop) -> None:
    message = shop.policy_view()
    pooled = draw_by_leaves(LEAVES, None, [True] * 3)
    offer = pooled.draw(seed=f"{shop.campaign.key}:12", customer_key=message["userId"])
    said = {"leafId": -1, "variationId": offer, "variationWeights": list(pooled.weights)}
    shop.send([told(message, **said)])
    assert Decision.objects.get().weights == [count / 10_000 for count in pooled.buckets]


def test_what_was_eligible_is_what_the_client_had_a_weight_for(shop: Shop) -> None:
    Offer.objects.filter(key="saving").update(is_active=False)
    message = shop.policy_view()
    # Meanwhile it may be shown again.
    Offer.objects.filter(key="saving").update(is_active=True)
    shop.send([message])
    decision = Decision.objects.get()
    assert decision.eligible == ["gift", "trial"]
    draw = draw_by_leaves(LEAVES, message["properties"]["leafId"], [True, False, True])
    assert decision.weights == [count / 10_000 for count in draw.buckets if count]


def test_a_customer_of_whom_the_client_knows_more_is_taken_for_the_middle_of_the_leaf(
    shop: Shop,
) -> None:
    unknown = LEAVES.find({})
    attributes = next(known for known in KNOWN if LEAVES.find(known) != unknown)
    shop.send([shop.policy_view(**attributes)])
    assert Decision.objects.get().features == list(LEAVES.find(attributes).centre)


def test_what_is_told_otherwise_is_refused(shop: Shop) -> None:
    message = shop.policy_view()
    said = message["properties"]
    others = [offer for offer in OFFERS if offer != said["variationId"]]
    weights = said["variationWeights"]
    wrong: Mapping[str, Sequence[Mapping[str, Any]]] = {
        "needs leafId": [{"leafId": None}, {"leafId": "1"}, {"leafId": True},
                         {"variationWeights": None}, {"variationWeights": "0.5"},
                         {"variationWeights": [True, 0, 0]}],
        "version is 12, not 11": [{"banditVersion": 11}],
        "There are 3 offers, not": [{"variationWeights": weights[:2]},
                                    {"variationWeights": [*weights, 0.1]}],
        "no leaf 99": [{"leafId": 99}],
        "weighs": [{"variationWeights": weights[::-1]},
                   {"variationWeights": [weights[0] + 1e-4, weights[1] - 1e-4, weights[2]]}],
        "is not given": [{"variationId": others[0]}, {"variationId": others[1]}],
        "No offer 'hat'": [{"variationId": "hat"}],
        "No offer 3": [{"variationId": 3}],
        "No offer None": [{"variationId": None}],
        "no leaves of version 99": [{"experimentId": f"{shop.campaign.key}:99"}],
        "No campaign 'winter' runs": [{"experimentId": "winter:12"}],
    }  # fmt: skip
    expected = [reason for reason, lies in wrong.items() for _ in lies]
    shop.send([told(message, **lie) for lies in wrong.values() for lie in lies])
    found = reasons()
    assert len(found) == len(expected)
    for reason, words in zip(found, expected, strict=True):
        assert words in reason
    assert not Decision.objects.exists()
    assert not Exposure.objects.exists()
    assert Event.objects.count() == len(expected)


def test_an_offer_of_another_customer_is_refused(shop: Shop) -> None:
    views = [shop.visit(f"c{n}")[-1] for n in range(40)]
    drawn = [v for v in views if v["properties"]["experimentId"].endswith(":12")]
    names = [message["userId"] for message in drawn]
    random.Random(4).shuffle(names)  # noqa: S311 - nobody has to guess it
    swapped = [{**m, "userId": name} for m, name in zip(drawn, names, strict=True)]
    shop.send(swapped)
    # Some draw the same offer by chance, and nobody can tell those apart.
    for decision in Decision.objects.select_related("customer"):
        honest = [m["properties"] for m in drawn if m["userId"] == decision.customer.external_key]
        assert [said["variationId"] for said in honest] == [decision.offer]
    assert 0 < Decision.objects.count() < len(drawn)
    assert len(reasons()) == len(drawn) - Decision.objects.count()


def test_before_the_start_and_after_a_pause_nothing_counts(shop: Shop) -> None:
    message = shop.policy_view()
    shop.send([{**message, "timestamp": (NOW - DAY).isoformat()}])
    pause_campaign(shop.campaign, by=None, now=LATER, reason="look")
    assert shop.running.campaigns == {}
    shop.send([message])
    before, after = reasons()
    assert "had not started then" in before
    assert "runs" in after
    assert not Decision.objects.exists()


def test_a_halted_arms_customers_are_logged_by_the_baseline_and_meet_nothing(shop: Shop) -> None:
    message = shop.policy_view()
    halt_arm(shop.campaign.experiment, "personalised", by=None, now=NOW, reason="harm")
    shop.send([message, *shop.visit(message["userId"])])
    decision = Decision.objects.get()
    assert (decision.arm, decision.policy_version) == ("personalised", None)
    assert "is not given" in reasons()[0]
    assert not Exposure.objects.exists()


def test_other_experiments_are_heard_of_as_ever(shop: Shop) -> None:
    experiment = make_experiment()
    said = {"experimentId": experiment.key, "variationId": "new"}
    shop.send(
        [
            {**view("ann", {"key": "x"}, {"key": "x"}), "properties": said},
            {"type": "track", "event": "Order Completed", "userId": "ann"},
        ]
    )
    assert Exposure.objects.get().experiment == experiment


def test_damaged_leaves_keep_nothing_else_from_being_stored(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    message = shop.policy_view()
    PolicyLeaves.objects.update(table={})
    shop.send([message, {"type": "track", "event": "Order Completed", "userId": "ann"}])
    assert Event.objects.count() == 2
    assert "cannot be read" in caplog.text
    assert "no leaves of version 12" in reasons()[0]


def test_the_month_of_a_decision_is_made_when_it_is_needed(shop: Shop) -> None:
    message = shop.policy_view()
    with psycopg.connect(database_url(), autocommit=True) as connection:
        month = "recommender_decision_2026_03"
        if connection.execute("SELECT to_regclass(%s)", [month]).fetchone() != (None,):
            connection.execute(f"ALTER TABLE recommender_decision DETACH PARTITION {month}")
            connection.execute(f"DROP TABLE {month}")
    shop.send([message])
    assert Decision.objects.count() == 1


def test_leaves_are_loaded_once_and_expire_with_their_policy(shop: Shop) -> None:
    shop.campaign.policy.expires_after_hours = 2
    shop.campaign.policy.save()
    ((running,),) = shop.running.campaigns.values()
    assert running.policy.leaves == LEAVES
    assert running.policy.leaves_expire_at == NOW + 2 * HOUR
    ((again,),) = shop.running.campaigns.values()
    assert again.policy.leaves is running.policy.leaves


def test_damaged_leaves_do_not_keep_a_campaign_from_deciding(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    PolicyLeaves.objects.update(table={"version": 12})
    ((running,),) = shop.site.run(read_snapshot()).campaigns.values()
    assert running.policy.leaves is None
    assert "leaves of policy" in caplog.text


def test_at_hand_are_the_tables_of_lately(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaigns.client_draws.exposed.TABLES_AT_HAND", 0)
    old = shop.policy_view()
    publish(shop.campaign.policy, replace_version(13))
    new = shop.visit(old["userId"])[-1]
    for message in (old, new, old, new):
        Decision.objects.all().update(reasons=[])
        shop.send([message])
    assert [d.policy_version for d in Decision.objects.order_by("policy_version")] == [
        12,
        12,
        13,
        13,
    ]


def replace_version(version: int) -> Leaves:
    return Leaves.from_json({**LEAVES.to_json(), "version": version})


def test_customers_are_the_rows_that_were_told(shop: Shop) -> None:
    message = shop.policy_view()
    shop.send([message])
    assert Decision.objects.get().customer == Customer.objects.get(external_key=message["userId"])
