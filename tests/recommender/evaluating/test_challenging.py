"""Challengers: they learn, are judged on others, and take over when all checks allow it."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audience.models import AuditEntry
from recommender.evaluating import challenging
from recommender.evaluating.challenging import (
    assess,
    challenge,
    find_due,
    learn,
    withdraw,
)
from recommender.evaluating.promoting import find_obstacles, promote, want
from recommender.learning.holding import hold_publishing
from recommender.learning.learn import learn_batch
from recommender.learning.rebuilding import check_sums, unlearn
from recommender.models import (
    Challenger,
    Policy,
    PolicyNetwork,
    PolicyPrice,
    PolicyVersion,
    Reward,
)
from recommender.tasks import assess_challengers
from recommender.weighing.features import CategoryFeature, FeatureSpec
from recommender.weighing.odds import Odds
from tests.makers import (
    DAY,
    NOW,
    event_row,
    log_all,
    logged,
    make_customers,
    make_events,
    make_policy,
    make_user,
)

pytestmark = pytest.mark.django_db(transaction=True)

SECURE = {"x-forwarded-proto": "https"}
FEATURES = FeatureSpec((CategoryFeature("plan", ("pro",)),))
OFFERS = ("red", "blue")
LATER = NOW + DAY


def happen(policy: Policy, n: int, *, seed: int, held_back: bool, at: datetime = NOW) -> None:
    """Let customers of the pro plan order for red, and the others for blue."""
    rng = np.random.default_rng(seed)
    customers = make_customers(n)
    decisions, events = [], []
    for customer in customers:
        is_pro, is_red = rng.random() < 0.5, rng.random() < 0.5
        decisions.append(
            logged(
                policy,
                customer,
                "red" if is_red else "blue",
                at=at,
                attributes={"plan": "pro" if is_pro else "basic"},
                held_back=held_back,
            )
        )
        if rng.random() < (0.4 if is_pro == is_red else 0.1):
            events.append(event_row(customer, "Order Completed", at=at))
    log_all(decisions)
    make_events(events)


@pytest.fixture
def policy() -> Policy:
    """A policy that treats everybody alike, as its kind does, with a log that knows better."""
    policy = make_policy(
        kind="gaussian_thompson",
        offers=OFFERS,
        features=FEATURES,
        held_back_share=0.5,
        landmarks=[3600],
    )
    happen(policy, 600, seed=1, held_back=False)
    happen(policy, 1200, seed=2, held_back=True)
    learn_batch(policy.pk, now=LATER)
    policy.refresh_from_db()
    return policy


def begin(policy: Policy, kind: str = "linear_thompson", **values: Any) -> Challenger:
    said: dict[str, Any] = {"hyperparameters": {}, "is_automatic": False, "now": LATER} | values
    return challenge(policy, kind=kind, **said)


def judged(policy: Policy, kind: str = "linear_thompson") -> Challenger:
    """A challenger that was judged, of a policy whose sums were checked."""
    challenger = begin(policy, kind)
    check_sums(policy, now=LATER)
    assess(challenger, now=LATER)
    policy.refresh_from_db()
    return Challenger.objects.select_related("policy").get(pk=challenger.pk)


def test_it_learns_what_a_policy_of_its_kind_would_have(policy: Policy) -> None:
    odds = learn(begin(policy), now=LATER)
    twin = make_policy(kind="linear_thompson", offers=OFFERS, features=FEATURES)
    happen(twin, 600, seed=1, held_back=False)
    learn_batch(twin.pk, now=LATER)
    expected = Odds.from_bytes(bytes(twin.versions.get().odds))
    np.testing.assert_allclose(odds.mean, expected.mean, rtol=1e-9)
    np.testing.assert_allclose(odds.factor, expected.factor, rtol=1e-9)
    assert odds.floor == expected.floor


@pytest.mark.parametrize("kind", ["logistic_thompson", "neural_linear", "sequential"])
def test_kinds_that_read_the_log_learn_from_it(
    policy: Policy, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenging, "FIRST_LESSONS", 100)
    odds = learn(begin(policy, kind), now=LATER + 40 * DAY)
    assert odds.is_log_odds is (kind == "logistic_thompson")
    assert (odds.representation is not None) is (kind == "neural_linear")
    pro, basic = (FEATURES.encode({"plan": plan}) for plan in ("pro", "basic"))
    everything = np.ones(2, dtype=bool)
    assert odds.weights(pro, everything)[0] > 0.8
    assert odds.weights(basic, everything)[1] > 0.8


def test_the_better_one_is_shown_to_be_better_and_takes_over(policy: Policy) -> None:
    challenger = judged(policy)
    found = challenger.assessment
    assert found["champion"]["low"] < 0.25 < found["champion"]["high"]
    assert found["challenger"]["estimate"] > 0.35
    assert found["advantage"]["low"] > 0
    assert found["population"] == "1,200 decisions that neither learned from"
    assert find_obstacles(challenger, now=LATER) == []
    version = promote(challenger, now=LATER)
    policy.refresh_from_db()
    challenger.refresh_from_db()
    assert (policy.kind, version.number) == ("linear_thompson", 2)
    assert challenger.outcome == Challenger.Outcome.PROMOTED
    odds = Odds.from_bytes(bytes(version.odds))
    stored = Odds.from_bytes(bytes(challenger.odds or b""))
    np.testing.assert_array_equal(odds.mean, stored.mean)
    # What it has stored is what its log comes to, and it goes on learning from there.
    assert check_sums(policy, now=LATER).problem == ""
    happen(policy, 20, seed=3, held_back=False, at=LATER)
    learned = learn_batch(policy.pk, now=LATER + DAY)
    assert learned is not None
    assert learned.version == 3
    with pytest.raises(ValidationError, match="It has ended"):
        promote(challenger, now=LATER)


def charge(policy: Policy) -> None:
    """Let red use up something that is scarce."""
    PolicyPrice.objects.create(
        policy=policy, resource="budget:spring", price=0.01, used=1, priced_at=NOW, uses={"red": 10}
    )


def test_who_takes_over_charges_for_what_is_scarce_too(policy: Policy) -> None:
    challenger = judged(policy)
    charge(policy)
    odds = Odds.from_bytes(bytes(promote(challenger, now=LATER).odds))
    stored = Odds.from_bytes(bytes(challenger.odds or b""))
    red = odds.places["red"]
    assert odds.charges[red] == pytest.approx(0.1)
    assert odds.mean[red, 0] == pytest.approx(stored.mean[red, 0] - 0.1)


def test_log_odds_do_not_take_over_where_something_is_scarce(policy: Policy) -> None:
    challenger = judged(policy, "logistic_thompson")
    assert not any("scarce" in said for said in find_obstacles(challenger, now=LATER))
    charge(policy)
    assert any("scarce" in said for said in find_obstacles(challenger, now=LATER))


def test_a_network_takes_over_with_its_sums(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenging, "FIRST_LESSONS", 100)
    promote(judged(policy, "neural_linear"), now=LATER)
    policy.refresh_from_db()
    assert PolicyNetwork.objects.filter(policy=policy).exists()
    assert check_sums(policy, now=LATER).problem == ""


def test_one_that_is_no_better_does_not_take_over(policy: Policy) -> None:
    challenger = begin(policy, "gaussian_thompson", hyperparameters={"exploration": 0.5})
    check_sums(policy, now=LATER)
    assess(challenger, now=LATER)
    policy.refresh_from_db()
    assert "It is not shown to earn more." in find_obstacles(challenger, now=LATER)
    with pytest.raises(ValidationError, match="not shown to earn more"):
        promote(challenger, now=LATER)
    with pytest.raises(ValidationError, match="not shown to earn more"):
        want(challenger, now=LATER)
    policy.refresh_from_db()
    assert policy.kind == "gaussian_thompson"
    assert policy.hyperparameters == {}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"sums_are_wrong": True, "sums_problem": "red differs"}, "red differs"),
        ({"sums_checked_at": None}, "not held against its log lately"),
        ({"sums_checked_at": NOW - 9 * DAY}, "not held against its log lately"),
    ],
)
def test_it_waits_for_the_sums(policy: Policy, spoil: dict[str, Any], says: str) -> None:
    challenger = judged(policy)
    Policy.objects.filter(pk=policy.pk).update(**spoil)
    challenger.policy.refresh_from_db()
    assert says in " ".join(find_obstacles(challenger, now=LATER))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"integrity": {"is_broken": True, "worst": {}}}, "as their logged chances say"),
        ({"integrity": {"is_broken": False, "worst": None}}, "too few decisions to test"),
        ({"champion": {"withheld": "Too little."}}, "What what decides earns is withheld"),
        ({"challenger": {"withheld": "Too little."}}, "the challenger earns is withheld"),
        ({"version": 99}, "no longer decides"),
    ],
)
def test_it_waits_for_every_check(policy: Policy, change: dict[str, Any], says: str) -> None:
    challenger = judged(policy)
    challenger.assessment |= change
    if "champion" in change:
        says = "withheld: Too little."
    assert says in " ".join(find_obstacles(challenger, now=LATER))


def test_it_waits_while_publishing_is_held_or_its_judgement_is_old(policy: Policy) -> None:
    challenger = judged(policy)
    late = LATER + 3 * DAY
    assert "It was not judged lately." in find_obstacles(challenger, now=late)
    hold_publishing(policy, reason="Something.", now=LATER)
    assert find_obstacles(challenger, now=LATER) == ["Publishing is held."]


def test_before_there_is_a_log_nothing_is_compared() -> None:
    policy = make_policy(offers=OFFERS, held_back_share=0.5)
    challenger = begin(policy, "square_cb")
    assert "It has not been judged yet." in find_obstacles(challenger, now=LATER)
    assess(challenger, now=LATER)
    assert challenger.looks == 0
    assert challenging.NOTHING_TO_COMPARE in find_obstacles(challenger, now=LATER)


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        ({"held_back_share": 0.0}, "square_cb", "Nobody is held back"),
        ({"reward_kind": "sum"}, "beta_thompson", "reached or not"),
        ({"landmarks": []}, "logistic_thompson", "at the end of their window"),
        ({}, "linear_thompson", "decides already"),
        ({"hyperparameters": {"exploration": -1}}, "square_cb", "above 0"),
    ],
)
def test_a_challenger_from_which_nothing_could_come_is_refused(
    values: dict[str, Any], kind: str, says: str
) -> None:
    settings = values.pop("hyperparameters", {})
    policy = make_policy(**{"held_back_share": 0.5, "reward_window_seconds": 10**6, **values})
    with pytest.raises(ValidationError, match=says):
        begin(policy, kind, hyperparameters=settings)


def test_there_is_one_at_a_time(policy: Policy) -> None:
    first = begin(policy)
    with pytest.raises(ValidationError, match="has a challenger already"):
        begin(policy, "square_cb")
    withdraw(first, now=LATER)
    begin(policy, "square_cb")
    with pytest.raises(ValidationError, match="has ended already"):
        withdraw(first, now=LATER)


def test_each_is_judged_once_a_day(policy: Policy) -> None:
    challenger = begin(policy)
    assert find_due(now=LATER) == [challenger]
    assess(challenger, now=LATER)
    assert find_due(now=LATER + DAY / 2) == []
    assert find_due(now=LATER + DAY) == [challenger]
    withdraw(challenger, now=LATER)
    assert find_due(now=LATER + DAY) == []


def test_one_that_takes_over_by_itself_does(policy: Policy) -> None:
    begin(policy, is_automatic=True)
    check_sums(policy, now=timezone.now())
    assert assess_challengers() == 1
    policy.refresh_from_db()
    assert policy.kind == "linear_thompson"


def test_one_that_does_not_waits_to_be_wanted(policy: Policy) -> None:
    challenger = begin(policy)
    check_sums(policy, now=timezone.now())
    assert assess_challengers() == 0
    challenger.refresh_from_db()
    want(challenger, now=timezone.now())
    assert assess_challengers() == 1


def test_one_that_cannot_learn_says_so_and_keeps_nobody_waiting(policy: Policy) -> None:
    broken = make_policy(offers=OFFERS, features=FEATURES, held_back_share=0.5)
    wrong = begin(broken, "square_cb")
    Challenger.objects.filter(pk=wrong.pk).update(kind="gone")
    challenger = begin(policy)
    assess_challengers()
    wrong.refresh_from_db()
    challenger.refresh_from_db()
    assert "No bandit is called 'gone'" in wrong.assessment["problem"]
    assert challenger.looks == 1


def test_whoever_is_erased_is_forgotten_by_the_challenger_too(policy: Policy) -> None:
    challenger = judged(policy)
    taught = Reward.objects.filter(policy=policy, is_lesson=True)
    someone = taught.values_list("decision__customer", flat=True)[0]
    with transaction.atomic():
        unlearn([someone])
    challenger.refresh_from_db()
    assert challenger.odds is None
    assert find_due(now=LATER) == [challenger]


# In the admin.


def sign_in(*permissions: str, is_superuser: bool = False) -> Client:
    client = Client(headers=SECURE)
    client.force_login(make_user(*permissions, is_superuser=is_superuser))
    return client


def act(client: Client, action: str, challenger: Challenger) -> str:
    address = reverse("admin:recommender_challenger_changelist")
    chosen = {"action": action, "_selected_action": [challenger.pk]}
    return client.post(address, chosen, follow=True).content.decode()


def test_a_marketer_begins_one_and_both_are_shown_side_by_side(policy: Policy) -> None:
    marketer = sign_in(
        "recommender.view_challenger", "recommender.add_challenger", "recommender.view_policy"
    )
    add = reverse("admin:recommender_challenger_add")
    data = {"policy": policy.pk, "kind": "linear_thompson", "hyperparameters": "{}"}
    refused = marketer.post(add, data | {"kind": "gaussian_thompson"})
    assert "That is what decides already." in refused.content.decode()
    assert marketer.post(add, data).status_code == HTTPStatus.FOUND
    challenger = Challenger.objects.get()
    check_sums(policy, now=timezone.now())
    assess(challenger, now=timezone.now())
    page = marketer.get(reverse("admin:recommender_challenger_changelist")).content.decode()
    for words in ("Gaussian Thompson", "Linear Thompson", "May take over"):
        assert words in page
    detail = marketer.get(reverse("admin:recommender_challenger_change", args=[challenger.pk]))
    assert "1,200 decisions that neither learned from, look 1" in detail.content.decode()
    assert "is withdrawn" in act(marketer, "withdraw", challenger)
    assert "has ended already" in act(marketer, "withdraw", challenger)


def test_an_approver_lets_it_decide_and_that_is_recorded(policy: Policy) -> None:
    challenger = begin(policy)
    looking = ["recommender.view_challenger", "recommender.view_policy"]
    viewer = sign_in(*looking)
    approver = sign_in(*looking, "recommender.promote_challenger")
    act(viewer, "promote", challenger)
    challenger.refresh_from_db()
    assert challenger.wanted_at is None
    assert "It has not been judged yet." in act(approver, "promote", challenger)
    check_sums(policy, now=timezone.now())
    assess(challenger, now=timezone.now())
    assert "takes over as soon as a worker is free" in act(approver, "promote", challenger)
    entry = AuditEntry.objects.filter(table="recommender_challenger").latest("at")
    assert set(entry.after or {}) == {"wanted_at"}
    assert entry.by.startswith("user")
    assert assess_challengers() == 1
    changed = AuditEntry.objects.filter(table="recommender_policy", before__kind__isnull=False)
    after = changed.latest("at").after or {}
    assert after["kind"] == "linear_thompson"
    assert PolicyVersion.objects.filter(policy=policy).count() == 2
