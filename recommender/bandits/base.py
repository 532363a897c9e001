"""Say what a bandit learns from, what settings it takes and what it must answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.artifacts import pack, unpack
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds
from recommender.weighing.offer_facts import FactColumns
from recommender.weighing.representation import Representation

KIND = "statistics"
OPTIONAL = ("exploration", "memory_days")  # settings that may be left open


class StatisticsFacts(msgspec.Struct, forbid_unknown_fields=True):
    """The numbers of `Statistics` that are not arrays; JSON keeps a float64 exactly."""

    n: float
    s: float


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """All that a linear bandit remembers of one offer; disjoint sets of decisions add up.

    Attributes:
        precision_update: A = Σ x xᵀ, shape (d, d).
        b: Σ x r, shape (d,).
        n: Number of rewards.
        s: Σ r².
    """

    precision_update: FloatArray
    b: FloatArray
    n: float
    s: float

    def __post_init__(self) -> None:
        d = len(self.b)
        if self.b.shape != (d,) or self.precision_update.shape != (d, d):
            raise ValueError(
                f"Statistics need a (d, d) and a (d,) array, "
                f"not {self.precision_update.shape} and {self.b.shape}."
            )
        if not (np.isfinite(self.precision_update).all() and np.isfinite(self.b).all()):
            raise ValueError("Statistics must be finite.")
        if not (0.0 <= self.n < math.inf and 0.0 <= self.s < math.inf):
            raise ValueError(f"n and s must be finite and at least 0, not {self.n} and {self.s}.")

    @classmethod
    def zero(cls, d: int) -> "Statistics":
        """Remember nothing yet, about d features."""
        return cls(precision_update=np.zeros((d, d)), b=np.zeros(d), n=0.0, s=0.0)

    def __add__(self, other: "Statistics") -> "Statistics":
        if len(self.b) != len(other.b):
            raise ValueError(
                f"Statistics of {len(self.b)} and {len(other.b)} features do not add up."
            )
        return Statistics(
            precision_update=self.precision_update + other.precision_update,
            b=self.b + other.b,
            n=self.n + other.n,
            s=self.s + other.s,
        )

    def __sub__(self, other: "Statistics") -> "Statistics":
        """Take decisions out that were added once; the rest is what it would be without them."""
        return Statistics(
            precision_update=self.precision_update - other.precision_update,
            b=self.b - other.b,
            # Rounding must not leave less than nothing.
            n=max(self.n - other.n, 0.0),
            s=max(self.s - other.s, 0.0),
        )

    def fade(self, share: float) -> "Statistics":
        """Keep a share of all that is remembered, in [0, 1]."""
        return Statistics(
            precision_update=share * self.precision_update,
            b=share * self.b,
            n=share * self.n,
            s=share * self.s,
        )

    def to_bytes(self) -> bytes:
        """Write the statistics as a safetensors blob."""
        arrays = {"precision_update": self.precision_update, "b": self.b}
        return pack(arrays, kind=KIND, facts=StatisticsFacts(n=float(self.n), s=float(self.s)))

    @classmethod
    def from_bytes(cls, blob: bytes) -> "Statistics":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: The blob is damaged or holds something else.
        """
        arrays, facts = unpack(
            blob, kind=KIND, names=("precision_update", "b"), facts=StatisticsFacts
        )
        return cls(precision_update=arrays["precision_update"], b=arrays["b"], n=facts.n, s=facts.s)


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Decisions and their rewards one by one, or those that are alike as one row.

    Attributes:
        offer_index: The offer that was shown, shape (n,).
        x: Encoded customers, shape (n, d).
        reward: What decisions earned on average, shape (n,).
        weight: For how many of them a row stands, shape (n,); less where they fade.
    """

    offer_index: IntArray
    x: FloatArray
    reward: FloatArray
    weight: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Decisions one by one, each with what followed for the same customer.

    Attributes:
        offer_index: The offer that was shown, shape (n,).
        x: Encoded customers as they were then, shape (n, d).
        eligible: Which offers could be drawn, shape (n, K).
        reward: What decisions earned, shape (n,).
        days: Until the customer was decided for again, shape (n,).
        next_x: Encoded customers as they were then, shape (n, d).
        next_eligible: Which offers could be drawn then, shape (n, K); none where nothing followed,
            so that nothing more is to come.
        weight: What a decision counts, shape (n,).
    """

    offer_index: IntArray
    x: FloatArray
    eligible: BoolArray
    reward: FloatArray
    days: FloatArray
    next_x: FloatArray
    next_eligible: BoolArray
    weight: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """What a marketer may tune in a bandit; each a finite number above 0, if it is given.

    Attributes:
        exploration: Multiplies the posterior's standard deviation; less exploits sooner. Without
            it a bandit takes what suits its way of exploring.
        prior_strength: How many average rewards the pull of each offer's coefficients towards what
            all offers share is worth.
        noise_sd: Standard deviation of a reward, assumed with the weight of two rewards until data
            say otherwise.
        memory_days: After so many days a reward counts for 1/e of a new one, so that the policy
            follows customers whose tastes change; nothing is forgotten without it. What was assumed
            before any reward never fades, so an offer of which all is forgotten is a new one
            (stabilised forgetting, Kulhavý & Zarrop 1993).
        ahead_days: A reward that comes so many days after a decision counts for 1/e of one at once;
            for kinds that decide over time.
        caution: How much less is believed of what was seldom tried, about in standard errors; for
            kinds that decide over time.
    """

    exploration: float | None = None
    prior_strength: float = 10.0
    noise_sd: float = 0.5
    memory_days: float | None = None
    ahead_days: float = 30.0
    caution: float = 0.5

    def __post_init__(self) -> None:
        for name in (item.name for item in fields(self)):
            value: object = getattr(self, name)
            if name in OPTIONAL and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number, not {value!r}.")
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be finite and above 0, not {value}.")

    def remembered(self, days: float) -> float:
        """Return what a reward of so many days ago counts, of a new one."""
        return 1.0 if self.memory_days is None else math.exp(-max(days, 0.0) / self.memory_days)

    @classmethod
    def from_json(cls, value: object) -> "Hyperparameters":
        """Read a JSON object; what it leaves out keeps its default.

        Raises:
            ValueError: An entry is unknown or not a number above 0; the message suits a form.
        """
        if not isinstance(value, Mapping):
            raise ValueError("Write a bandit's settings as an object of names and numbers.")
        known = [item.name for item in fields(cls)]
        unknown = sorted(map(str, set(value) - set(known)))
        if unknown:
            raise ValueError(f"Unknown settings: {', '.join(unknown)}; use {', '.join(known)}.")
        return cls(**value)


DEFAULTS = Hyperparameters()


class Bandit(Protocol):
    """Learns offers' rewards from additive statistics and publishes odds.

    Arrays are float64 and rows are decisions, in an order that the caller keeps stable, so that
    learning the same log twice gives the same bits on the same machine.
    """

    def __init__(
        self, hyperparameters: Hyperparameters = DEFAULTS, *, device: str = "cpu"
    ) -> None: ...

    def represent(self, x: FloatArray) -> FloatArray:
        """Return the columns that rewards are linear in, (n, d), of encoded customers."""

    def accumulate(
        self, offer_index: IntArray, x: FloatArray, rewards: FloatArray, *, n_offers: int
    ) -> list[Statistics]:
        """Summarise decisions, (n,), (n, d) and (n,), as one `Statistics` for each offer.

        Their customers are represented already.
        """

    def publish(
        self,
        statistics: Sequence[Statistics],
        *,
        offers: tuple[str, ...],
        features: FeatureSpec,
        floor: float,
        version: int,
    ) -> Odds:
        """Learn from the statistics, one for each offer and in the same order."""

    def weights_many(self, odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
        """Do what `Odds.weights_many` does, on the device."""


@runtime_checkable
class LogReader(Protocol):
    """A bandit that learns more from the log than sums tell, and reads it before it publishes.

    Without the log it publishes what follows from the sums.
    """

    def read(self, log: Log) -> None:
        """Take the decisions that are remembered; what is published next follows from them."""


@runtime_checkable
class StepReader(Protocol):
    """A bandit that decides over time: it learns from what followed each decision.

    Without steps it publishes what follows from the sums, as if each decision were the last.
    """

    def read_steps(self, steps: Steps) -> None:
        """Take the decisions that are remembered; what is published next follows from them."""


@runtime_checkable
class FactReader(Protocol):
    """A bandit that expects offers to do alike of which alike is known (`FACT_KINDS`)."""

    def read_facts(self, facts: FactColumns) -> None:
        """Take what is known of the offers; what is published next follows from it."""


@runtime_checkable
class Representing(Protocol):
    """A bandit that learns from the log what to see in customers, and goes on from its sums."""

    representation: Representation | None

    def train(self, log: Log, *, n_offers: int) -> Representation:
        """Learn from at least two decisions among so many offers what to see in customers."""
