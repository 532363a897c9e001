"""Condition what is believed of offers' coefficients on sums, the arithmetic of `thompson.py`."""

import logging

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

COMMON_PRIOR = 0.01  # Λ₀₀ = 0.01 Λ₀: what all offers share is nearly free to be anything
JITTER = 1e-12  # first try, as a part of the mean diagonal; ten times more each try
JITTER_TRIES = 8


def condition(a: Tensor, b: Tensor, *, prior: float) -> tuple[Tensor, Tensor, Tensor]:
    """Condition every offer's coefficients, and what they share, on weighted sums.

    Args:
        a: A_k, shape (K, d, d).
        b: b_k, shape (K, d).
        prior: λ.

    Returns:
        Means m_k, (K, d); Cholesky factors of P_k, (K, d, d); the common mean m₀, (d,).
    """
    eye = torch.eye(b.shape[1], dtype=torch.float64, device=b.device)
    lower = factorise(prior * eye + a)  # (K, d, d)
    solved = torch.cholesky_solve(torch.cat([a, b[..., None]], dim=-1), lower)  # (K, d, d + 1)
    pooled = prior * solved.sum(dim=0)  # (d, d + 1): Σ G_k beside the sum of scores
    information = COMMON_PRIOR * prior * eye + 0.5 * (pooled[:, :-1] + pooled[:, :-1].T)
    common = torch.cholesky_solve(pooled[:, -1:], factorise(information[None])[0])[:, 0]

    residual = b - a @ common  # (K, d, d) @ (d,) -> (K, d)
    step = torch.cholesky_solve(residual[..., None], lower)[..., 0]  # (K, d): m_k - m₀
    return common + step, lower, common


def root_of_inverse(lower: Tensor) -> Tensor:
    """Return F_k = L_k⁻ᵀ, (K, d, d), so that F_k F_kᵀ = (L_k L_kᵀ)⁻¹."""
    eye = torch.eye(lower.shape[-1], dtype=torch.float64, device=lower.device)
    inverse: Tensor = torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False)
    return inverse.mT


def factorise(precision: Tensor) -> Tensor:
    """Take lower Cholesky factors, (K, d, d), adding to the diagonal where rounding needs it."""
    eye = torch.eye(precision.shape[-1], dtype=torch.float64, device=precision.device)
    scale = precision.diagonal(dim1=-2, dim2=-1).mean(dim=-1)  # (K,)
    for power in range(JITTER_TRIES):
        lower: Tensor
        lower, info = torch.linalg.cholesky_ex(precision)
        failed = info > 0  # (K,)
        if not failed.any():
            return lower
        logger.warning("%d precision matrices need jitter, try %d.", int(failed.sum()), power + 1)
        jitter = JITTER * 10.0**power * scale * failed  # (K,)
        precision = precision + jitter[:, None, None] * eye
    raise ValueError("A precision matrix is not positive definite: its statistics are damaged.")
