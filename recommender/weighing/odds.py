"""Hold what a policy has learned as plain arrays, and weigh offers by it without torch.

A worker publishes odds; web processes and batches read them. For a customer x, offer k's reward is
predicted as Normal(x·mean_k, ‖x·factor_k‖²), and the weights are the probabilities that each
eligible offer is best, or leads when all are raised by one draw, or fall with its distance from the
best or as a softmax; and are raised to the floor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import msgspec
import numpy as np
from scipy.special import expit

from recommender.arrays import BoolArray, FloatArray
from recommender.artifacts import pack, require_arrays, unpack_any
from recommender.weighing.choice_rules import Rule, plain_probabilities
from recommender.weighing.features import FeatureSpec
from recommender.weighing.offer_facts import FactEffect
from recommender.weighing.propensities import (
    best_among,
    contenders,
    offer_weights,
    optimistic_among,
    with_floor,
)
from recommender.weighing.representation import Representation, layer_names
from recommender.weighing.spreads import pack_covariances, spreads

KIND = "odds"
ROWS_TOGETHER = 2_048  # among so many, those with as many offers in question are found


class OddsFacts(msgspec.Struct, forbid_unknown_fields=True):
    """What the artifact says beside its arrays."""

    offers: list[str]
    floor: float
    features: dict[str, Any]
    version: int
    gap_scale: float | None = None
    is_optimistic: bool = False
    is_log_odds: bool = False
    layers: int = 0
    charges: list[float] = []
    temperature: float | None = None
    taught: list[FactEffect] = []


@dataclass(frozen=True, slots=True, eq=False)
class Odds:
    """One published version of a policy.

    Attributes:
        offers: Offer keys, K of them, in the order of every (K, ...) array.
        mean: Posterior mean of each offer's coefficients, shape (K, d), in units of reward or
            as log-odds.
        factor: Matrices F_k with F_k F_kᵀ the coefficients' covariance, shape (K, d, d).
        floor: Least probability of an eligible offer, in (0, 1].
        features: How attributes become x.
        version: Grows with each publication.
        gap_scale: Where it is given, weights fall with the distance from the best offer, by this
            much for a unit of reward (`inverse_gap_probabilities`), and the factor plays no part.
        is_optimistic: Whether one draw raises all offers (`optimistic_probabilities`), instead of
            each having its own.
        is_log_odds: Whether predictions are log-odds of a reward of 1, instead of rewards.
        representation: What is seen in customers, where odds are linear in that instead of in
            their columns; d is then its size.
        charges: What each offer has to earn more for the scarce things that it uses, K of them or
            none, in units of reward. The means are less by that (`charge`).
        temperature: Where it is given, weights are a softmax of predictions over it, in their
            units (`softmax_probabilities`), and the factor plays no part.
        taught: What facts of offers were found to change, for people to read; weights know nothing
            of it.
        rule: All that decides how predictions become weights.
        places: Where each offer stands in those arrays.
    """

    offers: tuple[str, ...]
    mean: FloatArray
    factor: FloatArray
    floor: float
    features: FeatureSpec
    version: int
    gap_scale: float | None = None
    is_optimistic: bool = False
    is_log_odds: bool = False
    representation: Representation | None = None
    charges: tuple[float, ...] = ()
    temperature: float | None = None
    taught: tuple[FactEffect, ...] = ()
    rule: Rule = field(init=False, repr=False)
    places: Mapping[str, int] = field(init=False, repr=False)
    _packed: FloatArray = field(init=False, repr=False)  # all covariances, for `spreads`

    def __post_init__(self) -> None:
        k, d = len(self.offers), _size(self.features, self.representation)
        if not self.offers or len(set(self.offers)) < k:
            raise ValueError("Odds need at least one offer, each listed once.")
        _require_array("mean", self.mean, (k, d))
        _require_array("factor", self.factor, (k, d, d))
        rule = Rule(self.is_optimistic, self.gap_scale, self.temperature)
        if self.charges:
            _require_array("charges", np.array(self.charges), (k,))
        if not 0.0 < self.floor <= 1.0:
            raise ValueError(f"The floor must lie in (0, 1], not {self.floor}.")
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "_packed", pack_covariances(self.factor))
        object.__setattr__(self, "places", {key: place for place, key in enumerate(self.offers)})

    @classmethod
    def prior(
        cls, offers: tuple[str, ...], *, features: FeatureSpec, floor: float, version: int = 0
    ) -> "Odds":
        """Begin with a policy that has learned nothing: all offers alike, so even weights."""
        k, d = len(offers), features.size
        return cls(
            offers=offers,
            mean=np.zeros((k, d)),
            factor=np.tile(np.eye(d), (k, 1, 1)),  # (K, d, d)
            floor=floor,
            features=features,
            version=version,
        )

    def charge(self, charges: Mapping[str, float], *, version: int) -> "Odds":
        """Return these odds with other charges, by offers' keys, as another version.

        The first column is 1 for everybody, so that a charge is taken off there, for all ways to
        weigh.

        Raises:
            ValueError: They are log-odds, from which no reward can be taken off.
        """
        if self.is_log_odds and any(charges.values()):
            raise ValueError("Log-odds cannot be charged for what an offer uses.")
        new = [float(charges.get(key, 0.0)) for key in self.offers]
        mean = self.mean.copy()
        mean[:, 0] += np.array(self.charges or [0.0]) - np.array(new)
        return replace(self, mean=mean, charges=tuple(new) if any(new) else (), version=version)

    def given(self) -> dict[str, Any]:
        """Return what these odds were made from, by name, to make other ones of it."""
        return {each.name: getattr(self, each.name) for each in fields(Odds) if each.init}

    def represent(self, x: FloatArray) -> FloatArray:
        """Return the columns in which these odds are linear, (..., d) for encoded customers."""
        return x if self.representation is None else self.representation.represent(x)

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Predict each offer's reward, ineligible ones too.

        Args:
            x: Encoded customers, shape (..., columns).

        Returns:
            Mean and standard deviation of the predictions, each (..., K), of rewards or their
            log-odds.
        """
        x = self.represent(x)
        rows = x.reshape(-1, x.shape[-1])  # (n, d)
        sd = spreads(rows, self._packed)
        return x @ self.mean.T, sd.reshape(*x.shape[:-1], len(self.offers))

    def expect(self, x: FloatArray) -> FloatArray:
        """Return what each offer is expected to earn of encoded customers, (..., K)."""
        mean: FloatArray = self.represent(x) @ self.mean.T
        return expit(mean) if self.is_log_odds else mean

    def weights(
        self, x: FloatArray, eligible: BoolArray, *, floor: float | None = None
    ) -> FloatArray:
        """Weigh the offers for one customer.

        Args:
            x: The encoded customer, shape (columns,).
            eligible: Which offers may be chosen, shape (K,).
            floor: Least probability of an eligible offer; these odds' own without it.

        Returns:
            Probabilities, shape (K,): 0 where not eligible, positive elsewhere, summing to 1.

        Raises:
            ValueError: No offer is eligible.
        """
        n_eligible = int(np.count_nonzero(eligible))
        if n_eligible == 0:
            raise ValueError("At least one offer must be eligible in every row.")
        floor = self.floor if floor is None else floor
        mean, sd = self.predict(x)  # each (K,)
        if self.rule.needs_no_sd:
            p = plain_probabilities(mean, eligible, rule=self.rule)
            return np.asarray(with_floor(p, eligible, floor=floor))
        # Most of many offers are hopeless for a customer.
        able = np.flatnonzero(contenders(mean, sd, eligible))
        least = min(floor, 0.5 / n_eligible)
        weights = np.where(eligible, least, 0.0)
        among = optimistic_among if self.is_optimistic else best_among
        weights[able] += (1.0 - n_eligible * least) * among(mean[able], sd[able])
        if n_eligible == 1:
            weights[able] = 1.0
        return weights

    def weights_many(self, x: FloatArray, eligible: BoolArray) -> FloatArray:
        """Weigh the offers as `weights` does for many customers, (n, columns) and (n, K)."""
        weights = np.empty((len(x), len(self.offers)))
        for first in range(0, len(x), ROWS_TOGETHER):
            rows = slice(first, first + ROWS_TOGETHER)
            mean, sd = self.predict(x[rows])
            weights[rows] = offer_weights(
                mean,
                sd,
                eligible[rows],
                floor=self.floor,
                rule=self.rule,
            )
        return weights  # (n, K)

    def to_bytes(self) -> bytes:
        """Write the odds as a safetensors blob."""
        facts = OddsFacts(
            offers=list(self.offers),
            floor=self.floor,
            features=self.features.to_json(),
            version=self.version,
            gap_scale=self.gap_scale,
            is_optimistic=self.is_optimistic,
            is_log_odds=self.is_log_odds,
            layers=0 if self.representation is None else len(self.representation.weights),
            charges=list(self.charges),
            temperature=self.temperature,
            taught=list(self.taught),
        )
        arrays = {"mean": self.mean, "factor": self.factor}
        if self.representation is not None:
            arrays |= self.representation.to_arrays()
        return pack(arrays, kind=KIND, facts=facts)

    @classmethod
    def from_bytes(cls, blob: bytes) -> "Odds":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: The blob is damaged, holds something else, or its arrays are not finite or
                do not fit its offers and features.
        """
        arrays, facts = unpack_any(blob, kind=KIND, facts=OddsFacts)
        names = ("mean", "factor", *layer_names(facts.layers))
        require_arrays(arrays, kind=KIND, names=names)
        seen = Representation.from_arrays(arrays, layers=facts.layers) if facts.layers else None
        return cls(
            offers=tuple(facts.offers),
            mean=arrays["mean"],
            factor=arrays["factor"],
            floor=facts.floor,
            features=FeatureSpec.from_json(facts.features),
            version=facts.version,
            gap_scale=facts.gap_scale,
            is_optimistic=facts.is_optimistic,
            is_log_odds=facts.is_log_odds,
            representation=seen,
            charges=tuple(facts.charges),
            temperature=facts.temperature,
            taught=tuple(facts.taught),
        )


def _size(features: FeatureSpec, representation: Representation | None) -> int:
    """Return in how many columns odds are linear."""
    if representation is None:
        return features.size
    if representation.inputs != features.size:
        raise ValueError(
            f"A representation of {representation.inputs} columns does not fit {features.size}."
        )
    return representation.size


def _require_array(name: str, array: FloatArray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(
            f"With these offers and features, {name} must have shape {shape}, not {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"The {name} of these odds is not finite.")
