"""Let what is known of offers say where their coefficients begin.

The models of `thompson.py` pull each offer's coefficients towards what all offers share. Here what
offers with the same facts share is known besides (hybrid models; Li et al. 2010). Offer k has

    θ_k = m₀ + B z_k + e_k,   m₀ ~ N(0, σ² Λ₀₀⁻¹),   B's columns ~ N(0, t σ² Λ₀⁻¹),
                              e_k ~ N(0, u σ² Λ₀⁻¹),

where z_k are its facts (`offer_facts.py`; over offers, ‖z‖² is 1 on average). With t = 0 and u = 1
this is the model without facts.

*All at once.* Given t and u everything is linear and normal. With e_k integrated out, offer k's
rewards have the information G_k = Λ P_k⁻¹ A_k on m₀ + B z_k and the score Λ P_k⁻¹ b_k, where
Λ = Λ₀ / u and P_k = Λ + A_k. So with w_k = (1, z_k) all of m₀ and B have the precision
H = prior + Σ w_k w_kᵀ ⊗ G_k and the score Σ w_k ⊗ Λ P_k⁻¹ b_k; and with W_k = P_k⁻¹ Λ

    mean of θ_k = W_k (m₀ + B z_k) + P_k⁻¹ b_k,   covariance / σ² = P_k⁻¹ + W_k V_k W_kᵀ,

with V_k the covariance of B z_k. Sums of offers stay all that has to be known. As in `thompson.py`
the uncertainty of m₀ is left out: it raises all offers alike.

*Whether facts tell anything.* σ² integrates out as well, so the evidence of each t and u is known
exactly (a multivariate Student t), and those of most evidence are taken. The prior that is set is
often wider than offers differ, or narrower, and another would be more likely without any facts;
these are not to be given credit for that. So the spread of offers is found without facts first, and
then divided between facts and offers' own; and facts are used only if they are `CLEARLY` more
likely than the best model in which they tell nothing. Else nothing is changed, the spread neither:
to believe beforehand that offers hardly differ is dear where one of them is much better.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender.bandits.conditioning import COMMON_PRIOR, factorise

STEP, STEPS = 10.0**0.5, 4  # spreads from a hundredth of the prior's to a hundred times
OWN = (1.0, 0.3, 0.1, 0.03, 0.01)  # the u, of the spread without facts, as long as less is better
TOLD = (3.0, 1.0, 0.3, 0.1)  # the t, of the same
CLEARLY = 3.0  # nats; e³ = 20 to 1


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What is remembered of all offers, and what is assumed.

    Attributes:
        a: A_k, shape (K, d, d).
        b: b_k, shape (K, d).
        n: Number of rewards.
        s: Σ r².
        prior: λ, with Λ₀ = λ I.
        noise_shape: Of the inverse-gamma prior of σ².
        noise_scale: Of the same.
    """

    a: Tensor
    b: Tensor
    n: float
    s: float
    prior: float
    noise_shape: float
    noise_scale: float


@dataclass(frozen=True, slots=True, eq=False)
class Hybrid:
    """What is believed of every offer's coefficients and of what facts change.

    Attributes:
        mean: Shape (K, d).
        cholesky: Lower factors of P_k, shape (K, d, d).
        root: Lower factors of the coefficients' covariance over σ², shape (K, d, d).
        common_mean: m₀, shape (d,).
        teaching: B, shape (q, d), a row for each column of facts.
        doubt: B's covariance over σ², shape (q, d, q, d).
        noise_variance: σ².
    """

    mean: Tensor
    cholesky: Tensor
    root: Tensor
    common_mean: Tensor
    teaching: Tensor
    doubt: Tensor
    noise_variance: float


def learn_by_facts(sums: Sums, z: Tensor) -> Hybrid | None:
    """Condition on all offers' sums and facts, shape (K, q); None where facts tell nothing."""
    with _one_thread():
        return _learn_by_facts(sums, z)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep the many small steps to one thread of the processor.

    They gain nothing from others, and wait for them: a hundred times as long on a busy machine.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _learn_by_facts(sums: Sums, z: Tensor) -> Hybrid | None:
    spread, least = find_spread(sums)
    best: Model | None = None
    for part in OWN:
        apart = Apart(sums, z, own=part * spread)
        tried = [Model(apart, told=each * spread) for each in TOLD]
        least = max(least, tried[0].evidence_without)
        better = max(tried, key=lambda model: model.evidence)
        if best is not None and better.evidence <= best.evidence:
            break
        best = better
    return best.conclude() if best is not None and best.evidence > least + CLEARLY else None


def find_spread(sums: Sums) -> tuple[float, float]:
    """Climb to the u of most evidence without facts, from 1 on; return it and its evidence."""
    nothing = sums.b.new_zeros(len(sums.b), 0)

    def find_evidence(step: int) -> float:
        return Model(Apart(sums, nothing, own=STEP**step), told=1.0).evidence

    step, most = 0, find_evidence(0)
    for direction in (-1, 1):
        while abs(step + direction) <= STEPS:
            evidence = find_evidence(step + direction)
            if evidence <= most:
                break
            step, most = step + direction, evidence
    return STEP**step, most


class Apart:
    """What offers' sums say when what each has of its own is integrated out, for one u.

    Attributes:
        lower: Cholesky factors of P_k, shape (K, d, d).
        explained: P_k⁻¹ A_k, shape (K, d, d).
        begun: P_k⁻¹ b_k, shape (K, d).
        w: A 1 and the facts of each offer, shape (K, 1 + q).
        information: Σ w_k w_kᵀ ⊗ G_k, shape ((1 + q) d, (1 + q) d).
        score: Σ w_k ⊗ Λ P_k⁻¹ b_k, shape ((1 + q) d,).
        volume: Σ log |P_k| - log |Λ|.
        left: Σ r² - Σ b_kᵀ P_k⁻¹ b_k.
    """

    def __init__(self, sums: Sums, z: Tensor, *, own: float) -> None:
        self.sums, self.z = sums, z
        offers, d = sums.b.shape
        precision = sums.prior / own  # Λ is this times I
        eye = torch.eye(d, dtype=torch.float64, device=z.device)
        self.lower = factorise(precision * eye + sums.a)
        both = torch.cat([sums.a, sums.b[..., None]], dim=-1)  # (K, d, d + 1)
        solved = torch.cholesky_solve(both, self.lower)
        self.explained, self.begun = solved[..., :-1], solved[..., -1]
        self.w = torch.cat([z.new_ones(offers, 1), z], dim=1)
        # Symmetric but for rounding.
        self.information = _sum_products(
            self.w, 0.5 * precision * (self.explained + self.explained.mT)
        )
        self.score = precision * (self.w.T @ self.begun).flatten()  # (1 + q, K) @ (K, d)
        self.volume = 2.0 * float(self.lower.diagonal(dim1=-2, dim2=-1).log().sum())
        self.volume -= offers * d * math.log(precision)
        self.left = sums.s - float((sums.b * self.begun).sum())


class Model:
    """What all offers' sums say of m₀ and B, for one t and u."""

    def __init__(self, apart: Apart, *, told: float) -> None:
        """Condition m₀ and B, in the order of the columns of w."""
        self._apart = apart
        d, prior = apart.begun.shape[1], apart.sums.prior
        self._prior = torch.full_like(apart.score, prior / told)
        self._prior[:d] = COMMON_PRIOR * prior
        self._factor = factorise((apart.information + torch.diag(self._prior))[None])[0]
        self._fit = torch.linalg.solve_triangular(
            self._factor, apart.score[:, None], upper=False
        )  # ((1 + q) d, 1)

    @property
    def evidence(self) -> float:
        """The logarithm of the rewards' density, but for what all models have in common."""
        return self._find_evidence(len(self._prior))

    @property
    def evidence_without(self) -> float:
        """The same where facts tell nothing: a Cholesky factor begins with that of m₀ alone."""
        return self._find_evidence(self._apart.begun.shape[1])

    def _find_evidence(self, size: int) -> float:
        """Return the evidence with only the first so many numbers of m₀ and B."""
        volume = self._apart.volume + 2.0 * float(self._factor.diagonal()[:size].log().sum())
        volume -= float(self._prior[:size].log().sum())
        return -0.5 * volume - self._shape * math.log(self._find_scale(size))

    @property
    def _shape(self) -> float:
        return self._apart.sums.noise_shape + 0.5 * self._apart.sums.n

    def _find_scale(self, size: int) -> float:
        squares = self._apart.left - float((self._fit[:size] ** 2).sum())
        # Rounding may leave a perfect fit slightly below 0.
        return self._apart.sums.noise_scale + 0.5 * max(squares, 0.0)

    def conclude(self) -> Hybrid:
        """Return what follows for every offer."""
        apart = self._apart
        d = apart.begun.shape[1]
        found = torch.linalg.solve_triangular(self._factor.mT, self._fit, upper=True)
        shared = found.view(-1, d)  # m₀ above B
        start = apart.w @ shared  # (K, 1 + q) @ (1 + q, d) -> (K, d)
        pulled = start - (apart.explained @ start[..., None])[..., 0]  # W (m₀ + B z)
        doubt = torch.cholesky_inverse(self._factor).view(len(shared), d, -1, d)[1:, :, 1:]
        spread = _weigh_pairs(apart.z, doubt.transpose(1, 2))  # V_k
        kept = torch.eye(d, dtype=torch.float64, device=start.device) - apart.explained  # W_k
        covariance = torch.cholesky_inverse(apart.lower) + kept @ spread @ kept.mT
        return Hybrid(
            mean=pulled + apart.begun,
            cholesky=apart.lower,
            root=factorise(0.5 * (covariance + covariance.mT)),
            common_mean=shared[0],
            teaching=shared[1:],
            doubt=doubt,
            noise_variance=self._find_scale(len(self._prior)) / self._shape,
        )


def _sum_products(w: Tensor, information: Tensor) -> Tensor:
    """Return Σ w_k w_kᵀ ⊗ G_k of (K, p) and symmetric (K, d, d), shape (p d, p d).

    One product of matrices, and a quarter of it, as both factors are symmetric.
    """
    width, d = w.shape[1], information.shape[1]
    one, other = torch.triu_indices(width, width)
    row, column = torch.triu_indices(d, d)
    packed = (w[:, one] * w[:, other]).T @ information[:, row, column]  # (pairs, d (d + 1) / 2)
    half = packed.new_zeros(len(one), d, d)
    half[:, row, column] = packed
    half[:, column, row] = packed
    whole = packed.new_zeros(width, width, d, d)
    whole[one, other] = half
    whole[other, one] = half
    return whole.transpose(1, 2).reshape(width * d, width * d)


def _weigh_pairs(z: Tensor, blocks: Tensor) -> Tensor:
    """Return Σ_ij z_i z_j D_ij of (K, q) and (q, q, d, d) with D_ji = D_ijᵀ, shape (K, d, d)."""
    one, other = torch.triu_indices(z.shape[1], z.shape[1])
    both = blocks[one, other]
    both = torch.where((one == other)[:, None, None].to(z.device), both, both + both.mT)
    weighed = (z[:, one] * z[:, other]) @ both.flatten(1)  # (K, pairs) @ (pairs, d²)
    return weighed.view(len(z), *blocks.shape[2:])
