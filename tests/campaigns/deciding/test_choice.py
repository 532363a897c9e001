"""Slates, limits, budgets, fallbacks and expired policies, each with exact propensities."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from campaigns.deciding.choice import Choice, Chooser
from campaigns.deciding.draw import draw_offer, draw_seed
from campaigns.deciding.eligibility import Budget, Caps, OfferRules, Uses, Window
from campaigns.deciding.snapshot import (
    RunningArm,
    RunningCampaign,
    RunningOffer,
    RunningPolicy,
    Serves,
)
from campaigns.deciding.tally import Tally
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SPEC = FeatureSpec((NumberFeature("age", 40.0, 10.0),))
KEYS = ("a", "b", "c", "d")
X = SPEC.encode({"age": 50})


def offer(
    key: str,
    *,
    weight: int = 1,
    cost: int = 0,
    active: bool = True,
    priority: int = 100,
    **caps: Any,
) -> Any:
    rules = OfferRules(key, active, Window(), Caps(**caps), cost, priority)
    return RunningOffer(rules, weight, {"key": key})


def campaign(*offers: RunningOffer, **values: Any) -> RunningCampaign:
    rng = np.random.default_rng(3)
    odds = Odds(
        offers=KEYS,
        mean=rng.normal(0, 0.3, (4, 2)),
        factor=np.tile(0.3 * np.eye(2), (4, 1, 1)),
        floor=0.01,
        features=SPEC,
        version=7,
    )
    return RunningCampaign(
        key="spring",
        placement="home",
        window=Window(),
        hold_seconds=0,
        experiment_id=1,
        seed="s",
        arms=(),
        offers=offers or tuple(offer(key) for key in KEYS),
        policy=RunningPolicy(1, "spring", odds, 7, 3600, 0.0, values.pop("expires_at", None)),
        **values,
    )


def ids(count: int, first: int = 0) -> Sequence[uuid.UUID]:
    return [uuid.UUID(int=first * 100 + n) for n in range(count)]


def choose(
    running: RunningCampaign,
    count: int = 1,
    *,
    number: int = 0,
    serves: Serves = Serves.POLICY,
    tally: Tally | None = None,
    given: Mapping[str, int] | None = None,
    now: datetime = NOW,
    is_held_back: bool = False,
) -> list[Choice]:
    chooser = Chooser(
        campaign=running,
        arm=RunningArm(1, "arm", 10_000, serves),
        features=X,
        customer_key="ada",
        given={} if given is None else given,
        uses=Uses({}),
        member_of=frozenset(),
        tally=Tally({}) if tally is None else tally,
        now=now,
        is_held_back=is_held_back,
    )
    return list(chooser.choose(ids(count, number)))


def keys_of(choices: Sequence[Choice]) -> list[str | None]:
    return [None if c.offer is None else c.offer.rules.key for c in choices]


def test_a_slate_shows_no_offer_twice_and_ends_with_the_offers() -> None:
    for number in range(50):
        assert sorted(filter(None, keys_of(choose(campaign(), 6, number=number)))) == list(KEYS)
        assert len(set(keys_of(choose(campaign(), 3, number=number)))) == 3


@pytest.mark.parametrize("serves", [Serves.POLICY, Serves.BASELINE])
def test_each_place_of_a_slate_is_a_draw_of_its_own_that_can_be_repeated(serves: Serves) -> None:
    slate = choose(campaign(), 4, serves=serves)
    left = set(KEYS)
    for choice in slate:
        assert choice.offer is not None
        assert set(choice.eligible) == left
        assert sum(choice.weights) == pytest.approx(1.0, abs=1e-12)
        seed = draw_seed("spring", version=choice.policy_version or 0, decision_id=choice.id)
        again = draw_offer(choice.weights, seed=seed, customer_key="ada")
        assert choice.eligible[again.index] == choice.offer.rules.key
        assert again.propensity == choice.propensity
        left.remove(choice.offer.rules.key)
    assert slate[-1].propensity == 1.0


def test_pairs_come_as_often_as_their_propensities_multiply_to() -> None:
    n = 4000
    pairs: Counter[tuple[str | None, ...]] = Counter()
    expected: dict[tuple[str | None, ...], float] = {}
    for number in range(n):
        slate = choose(campaign(), 2, number=number)
        pair = tuple(keys_of(slate))
        pairs[pair] += 1
        expected[pair] = slate[0].propensity * slate[1].propensity
    assert len(expected) == 12
    assert sum(expected.values()) == pytest.approx(1.0, abs=2e-3)
    for pair, p in expected.items():
        assert abs(pairs[pair] / n - p) < 4 * (p * (1 - p) / n) ** 0.5, pair


def test_what_was_given_out_as_often_as_it_may_be_is_not_drawn() -> None:
    running = campaign(offer("a", total=2), offer("b"), offer("c"))
    tally = Tally({"offer:a": 1})
    taken = [choose(running, number=n, tally=tally)[0] for n in range(200)]
    assert keys_of(taken).count("a") == 1
    assert tally.added == {"offer:a": 1}
    last = taken[-1]
    assert last.eligible == ("b", "c")
    assert "a was given out 2 times, as often as it may be" in last.reasons


def test_a_slate_counts_its_own_offers() -> None:
    running = campaign(offer("a", cost=60), offer("b", cost=60), budget=Budget("spring", 100))
    tally = Tally({"budget:spring": 0})
    slate = choose(running, 2, tally=tally)
    assert len(slate) == 1
    assert tally.added == {"budget:spring": 60}


def test_what_costs_more_than_is_left_is_not_drawn_and_what_is_free_is() -> None:
    running = campaign(
        offer("a", cost=50), offer("b", cost=5), offer("c"), budget=Budget("spring", 100)
    )
    (choice,) = choose(running, tally=Tally({"budget:spring": 60}))
    assert choice.eligible == ("b", "c")
    (choice,) = choose(running, tally=Tally({"budget:spring": 100}))
    assert (keys_of([choice]), choice.propensity) == (["c"], 1.0)
    assert "b costs more than is left of the campaign's budget" in choice.reasons


def test_a_customer_is_given_an_offer_as_often_as_one_may_be() -> None:
    running = campaign(offer("a", per_customer=2, days=7), offer("b"))
    (choice,) = choose(running, given={"a": 2})
    assert keys_of([choice]) == ["b"]
    assert "a was given to this customer 2 times in 7 days" in choice.reasons
    assert choose(running, given={"a": 1})[0].eligible == ("a", "b")


@pytest.mark.parametrize(("is_shown", "eligible"), [(True, ("a", "b")), (False, ("b",))])
def test_while_nobody_counts_a_limited_offer_is_shown_if_it_says_so(
    is_shown: bool, eligible: tuple[str, ...]
) -> None:
    running = campaign(offer("a", total=1, is_shown_uncounted=is_shown), offer("b"))
    (choice,) = choose(running, tally=Tally(None))
    assert choice.eligible == eligible
    assert ("a cannot be counted now" in choice.reasons) is not is_shown


@pytest.mark.parametrize("serves", [Serves.POLICY, Serves.BASELINE])
def test_where_no_offer_may_be_shown_the_fallback_is(serves: Serves) -> None:
    switched_off = offer("a", active=False)
    (choice,) = choose(campaign(switched_off, fallback=offer("plain")), 3, serves=serves)
    assert (keys_of([choice]), choice.propensity, choice.eligible) == (["plain"], 1.0, ())
    assert choice.reasons == ("a is switched off", "no offer is eligible", "the fallback")
    (choice,) = choose(campaign(switched_off, fallback=offer("plain", active=False)), serves=serves)
    assert choice.offer is None
    (choice,) = choose(campaign(switched_off), serves=serves)
    assert choice.offer is None


def test_a_hold_out_gets_nothing_not_even_the_fallback() -> None:
    running = campaign(offer("a", active=False), fallback=offer("plain"))
    (choice,) = choose(running, 3, serves=Serves.NOTHING)
    assert (choice.offer, choice.propensity) == (None, 1.0)


@pytest.mark.parametrize(("after", "version"), [(timedelta(0), None), (timedelta(seconds=1), 7)])
def test_an_expired_policy_gives_what_the_control_gives(
    after: timedelta, version: int | None
) -> None:
    weights = {"a": 1, "b": 1, "c": 2}
    offers = [offer(key, weight=weight) for key, weight in weights.items()]
    (choice,) = choose(campaign(*offers, expires_at=NOW + after))
    assert choice.policy_version == version
    if version is None:
        assert choice.weights == (0.25, 0.25, 0.5)
        assert "policy version 7 has expired" in choice.reasons


def test_an_offer_that_the_policy_does_not_know_waits_and_the_control_has_it() -> None:
    running = campaign(offer("a"), offer("new"))
    (choice,) = choose(running)
    assert choice.eligible == ("a",)
    assert "new waits for the policy's next version" in choice.reasons
    assert choose(running, serves=Serves.BASELINE)[0].eligible == ("a", "new")


def test_an_offer_without_a_share_is_not_the_controls() -> None:
    running = campaign(offer("a", weight=0), offer("b"))
    assert choose(running, serves=Serves.BASELINE)[0].eligible == ("b",)
    assert choose(running)[0].eligible == ("a", "b")


def test_the_weights_are_the_policys_own() -> None:
    running = campaign(offer("d"), offer("b"), offer("a"))
    (choice,) = choose(running)
    mask = np.array([True, True, False, True])
    weights = running.policy.odds.weights(X, mask)
    assert choice.weights == pytest.approx([weights[3], weights[1], weights[0]], abs=1e-4)
    assert replace(running) == running


@pytest.mark.parametrize("serves", [Serves.POLICY, Serves.BASELINE])
def test_offers_of_lower_priority_wait_until_none_of_the_first_is_left(serves: Serves) -> None:
    running = campaign(
        offer("a", priority=2), offer("b", priority=1), offer("c", priority=1), offer("d")
    )
    for number in range(20):
        slate = choose(running, 4, number=number, serves=serves)
        assert set(keys_of(slate)[:2]) == {"b", "c"}
        assert keys_of(slate)[2:] == ["a", "d"]
        assert set(slate[0].eligible) == {"b", "c"}
        assert sum(slate[0].weights) == pytest.approx(1.0)
        assert "a comes after others" in slate[0].reasons
        assert slate[2].propensity == 1.0


def test_the_next_in_priority_comes_when_the_first_is_used_up() -> None:
    running = campaign(offer("a", priority=1, total=1), offer("b", priority=2))
    tally = Tally({})
    assert keys_of(choose(running, tally=tally)) == ["a"]
    assert keys_of(choose(running, tally=tally, number=1)) == ["b"]


def test_a_budget_that_is_spread_evenly_keeps_to_its_time() -> None:
    """Demand is far above the budget, and quiet in the middle half of the time."""
    spread = Window(NOW, NOW + timedelta(days=10))
    budget = Budget("spring", 1000, spread)
    running = campaign(offer("a", cost=30), budget=budget)
    spent: list[int] = []
    for hour in range(240):
        if 60 <= hour < 180:
            continue
        for number in range(10):
            left = None if not spent else spent[-1]
            chooser_tally = Tally({budget.counter: left or 0})
            shown = choose(
                running, tally=chooser_tally, number=number, now=NOW + timedelta(hours=hour)
            )
            spent.append((left or 0) + 30 * sum(key == "a" for key in keys_of(shown)))
        allowed = 1000 * hour / 240
        assert spent[-1] <= allowed + 30
        if hour < 60:
            assert spent[-1] > allowed - 30
    assert 970 < spent[-1] <= 1000


def test_a_spread_budget_says_why_it_waits() -> None:
    budget = Budget("spring", 1000, Window(NOW, NOW + timedelta(days=10)))
    running = campaign(offer("a", cost=30), budget=budget)
    assert keys_of(choose(running, tally=Tally({budget.counter: 0}))) == ["a"]
    (waits,) = choose(running, tally=Tally({budget.counter: 30}))
    assert "a waits, so that the campaign's budget lasts until its end" in waits.reasons


def test_the_floor_of_who_is_held_back_does_not_fall() -> None:
    """The odds have come down to 0.01, from the 0.1 that was set."""
    running = campaign()
    sure = replace(running.policy.odds, factor=np.tile(0.001 * np.eye(2), (4, 1, 1)))
    running = replace(running, policy=replace(running.policy, odds=sure, judging_floor=0.1))
    (learned_from,) = choose(running)
    (held_back,) = choose(running, is_held_back=True)
    assert min(learned_from.weights) == pytest.approx(0.01, abs=1e-4)
    assert min(held_back.weights) == pytest.approx(0.1, abs=1e-4)
    assert sum(held_back.weights) == pytest.approx(1.0)
