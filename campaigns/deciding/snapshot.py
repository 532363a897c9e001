"""The running campaigns, in memory, as frozen values that the deciding reads."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from audience.rules.sql import Compiled
from campaigns.deciding.eligibility import UTC, Budget, OfferRules, Window
from campaigns.deciding.holdout import RunningHoldout
from campaigns.deciding.limits import Limit
from campaigns.languages import choose_language
from recommender.arrays import BoolArray
from recommender.weighing.contacts import sees_contacts
from recommender.weighing.leaves import Leaves
from recommender.weighing.odds import Odds

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Serves(StrEnum):
    """What an arm of a campaign gives its customers."""

    NOTHING = "nothing"
    BASELINE = "baseline"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class RunningArm:
    """An arm of a running campaign's experiment; a halted one serves what the control serves."""

    id: int
    key: str
    weight: int
    serves: Serves
    is_halted: bool = False


@dataclass(frozen=True, slots=True)
class RunningOffer:
    """An offer of a running campaign; `contents` are what it says in other languages too.

    One without content stands for no offer: it is drawn and learned from like any other.
    """

    rules: OfferRules
    baseline_weight: int
    content: Mapping[str, Any] | None
    contents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def content_for(self, attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return what it says in the language of whoever has these attributes."""
        if not self.contents:
            return self.content
        languages = ["", *self.contents]
        return self.contents.get(choose_language(languages, attributes), self.content)


@dataclass(frozen=True, slots=True)
class RunningSlate:
    """A policy that shows each customer's products of a ranking, by its key, in so many places."""

    ranking: str
    places: int
    temperature: float


@dataclass(frozen=True, slots=True)
class RunningPolicy:
    """A policy as it was last published; from `expires_at` on it decides no more.

    `leaves` are those last made of it, perhaps of a version before, and expire by themselves.
    `judging_floor` is the least probability of an offer for customers who are held back, however
    far that of the odds has fallen: on their decisions any other policy can be judged. With a
    `slate` it shows products, and the odds play no part. Where an audience is decided for
    beforehand, `plan` is the id of the plan that the odds follow. `reward_event` is what it is
    rewarded for.
    """

    id: int
    key: str
    odds: Odds
    version: int
    reward_window_seconds: int
    held_back_share: float
    expires_at: datetime | None = None
    leaves: Leaves | None = None
    leaves_expire_at: datetime | None = None
    judging_floor: float | None = None
    slate: RunningSlate | None = None
    plan: int | None = None
    reward_event: str = ""


@dataclass(frozen=True, slots=True)
class RunningCampaign:
    """All that deciding needs to know of a campaign."""

    key: str
    placement: str
    window: Window
    hold_seconds: int
    experiment_id: int
    seed: str
    arms: tuple[RunningArm, ...]
    offers: tuple[RunningOffer, ...]
    policy: RunningPolicy
    fallback: RunningOffer | None = None
    budget: Budget = field(default_factory=lambda: Budget(""))
    # Of the campaign as a whole, and of its placement.
    limits: tuple[Limit, ...] = ()
    # The audience that it is for; None is everybody.
    audience: int | None = None
    # The counters that its limits need, and over how many days each offer with a limit per customer
    # is counted.
    counters: frozenset[str] = field(init=False)
    capped_days: Mapping[str, int] = field(init=False)
    # By the number of an offer here: its key, its place in the odds or -1, and its share of
    # the control arm.
    keys: tuple[str, ...] = field(init=False)
    places: IntArray = field(init=False, compare=False)
    shares: FloatArray = field(init=False, compare=False)
    # The numbers of the offers that the policy knows, of those that the control arm shows, and why
    # the policy cannot choose the others.
    in_odds: IntArray = field(init=False, compare=False)
    in_control: IntArray = field(init=False, compare=False)
    waiting: tuple[str, ...] = field(init=False)
    # Which offers go first, by the lowest number; None where all are alike.
    priorities: IntArray | None = field(init=False, compare=False)
    # Whether every offer may be shown at any time to anybody.
    is_unconditional: bool = field(init=False)
    # Whether anything is counted before it is given out.
    is_limited: bool = field(init=False)
    # All limits, those of the offers too, and all audiences that matter.
    all_limits: tuple[Limit, ...] = field(init=False)
    audiences: frozenset[int] = field(init=False)
    # The rankings whose products may be shown, by their keys.
    rankings: frozenset[str] = field(init=False)
    # Whether the policy looks at what customers were offered lately, and which offers are nothing.
    sees_contacts: bool = field(init=False)
    silent: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Look once for what every decision asks."""
        rules = [offer.rules for offer in self.offers]
        counters = {rule.counter for rule in rules if rule.caps.total is not None}
        if self.budget.limit_cents is not None:
            counters.add(self.budget.counter)
        days = {r.key: r.caps.days for r in rules if r.caps.per_customer is not None}
        object.__setattr__(self, "counters", frozenset(counters))
        object.__setattr__(self, "capped_days", days)
        keys = tuple(rule.key for rule in rules)
        places = [self.policy.odds.places.get(key, -1) for key in keys]
        shares = [offer.baseline_weight for offer in self.offers]
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "places", np.array(places, dtype=np.int64))
        object.__setattr__(self, "shares", np.array(shares, dtype=np.float64))
        object.__setattr__(self, "in_odds", np.flatnonzero(self.places >= 0))
        object.__setattr__(self, "in_control", np.flatnonzero(self.shares > 0))
        waiting = (key for key, place in zip(keys, places, strict=True) if place < 0)
        reasons = tuple(f"{key} waits for the policy's next version" for key in waiting)
        object.__setattr__(self, "waiting", reasons)
        priorities = np.array([rule.priority for rule in rules], dtype=np.int64)
        are_alike = len(np.unique(priorities)) < 2
        object.__setattr__(self, "priorities", None if are_alike else priorities)
        all_limits = self.limits + tuple(limit for rule in rules for limit in rule.limits)
        object.__setattr__(self, "all_limits", all_limits)
        shown = (*self.offers, *([] if self.fallback is None else [self.fallback]))
        audiences = {self.audience, *(offer.rules.audience for offer in shown)} - {None}
        object.__setattr__(self, "audiences", frozenset(audiences))
        slate = self.policy.slate
        rankings = {None if slate is None else slate.ranking}
        rankings |= {(offer.content or {}).get("ranking") for offer in shown}
        object.__setattr__(self, "rankings", frozenset(rankings - {None}))
        object.__setattr__(self, "sees_contacts", sees_contacts(self.policy.odds.features))
        silent = frozenset(offer.rules.key for offer in self.offers if offer.content is None)
        object.__setattr__(self, "silent", silent)
        is_open = all(
            rule.is_active and rule.window == Window() and rule.audience is None for rule in rules
        )
        is_limited = bool(counters or days or all_limits)
        object.__setattr__(self, "is_limited", is_limited)
        object.__setattr__(self, "is_unconditional", is_open and not is_limited)

    def goes_first(self, numbers: IntArray) -> BoolArray:
        """Tell which of these offers, at least one, go before the others."""
        if self.priorities is None:
            return np.ones(len(numbers), dtype=bool)
        priorities = self.priorities[numbers]
        return np.asarray(priorities == priorities.min())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The placements that exist and the campaigns that run in each, in order of priority."""

    placements: frozenset[str] = frozenset()
    campaigns: Mapping[str, tuple[RunningCampaign, ...]] = field(default_factory=dict)
    # Whether somebody is in an audience, as SQL for `recall`, by the audience's id.
    rules: Mapping[int, Compiled] = field(default_factory=dict)
    # Limits in total that count events, of whatever may be shown now or later.
    heard_limits: tuple[Limit, ...] = ()
    # Of the site's clock.
    zone: ZoneInfo = UTC
    # What keeps a share of the customers from all campaigns; None while there is none.
    holdout: RunningHoldout | None = None

    def only(self, placements: Iterable[str], *, now: datetime) -> "Snapshot":
        """Return it with nothing but the campaigns that may decide in these placements now."""
        running = {
            placement: tuple([c for c in self.campaigns.get(placement, ()) if c.window.holds(now)])
            for placement in placements
        }
        return replace(self, campaigns=running)

    @property
    def all_campaigns(self) -> Iterator[RunningCampaign]:
        """The campaigns of every placement."""
        return chain.from_iterable(self.campaigns.values())
