"""Says how good made-up rows are: alone, in pairs, for learning, and whether they are copies."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.simulators.tables import Column, Row, blocks_of, encode_rows, fit_column

BINS = 10  # of the ranks of a number
RIDGE = 1.0
STEPS = 25  # Newton's, of which a logistic regression takes a dozen
MOST_COMPARED = 1_000  # rows, when each is held against each


@dataclass(frozen=True, slots=True)
class Usefulness:
    """How made-up rows compare with real ones that the maker never saw.

    Attributes:
        single: Total variation distance of a column's values, the mean over columns; 0 is alike.
        pairs: The same of two columns' values together.
        transfer: AUC of a model that learned from made-up rows, on the real ones.
        transfer_of_real: AUC of the same model that learned from real rows.
        copied: Part of the made-up rows that are nearer to a row that the maker saw than to any it
            did not see. Half is as it should be.
    """

    single: float
    pairs: float
    transfer: float
    transfer_of_real: float
    copied: float


def judge(
    made: Sequence[Row], *, seen: Sequence[Row], unseen: Sequence[Row], target: str, value: Any
) -> Usefulness:
    """Hold made-up rows against real ones.

    Args:
        made: Made-up rows.
        seen: Real rows that the maker learned from.
        unseen: Real rows that it did not.
        target: A column that a model predicts from the others.
        value: What of it the model predicts.

    Raises:
        ValueError: Nobody, or everybody, of some rows has the value.
    """
    names = list(seen[0])
    columns = [fit_column(name, [row.get(name) for row in seen]) for name in names]
    others = [column for column in columns if column.name != target]
    truth = _has(unseen, target, value)
    x = encode_rows(unseen, others)
    return Usefulness(
        single=single_distance(made, unseen, columns),
        pairs=pair_distance(made, unseen, columns),
        transfer=auc(_fit_and_score(made, others, target, value, x), truth),
        transfer_of_real=auc(_fit_and_score(seen, others, target, value, x), truth),
        copied=copied(made, seen=seen, unseen=unseen, columns=columns),
    )


def single_distance(made: Sequence[Row], real: Sequence[Row], columns: Sequence[Column]) -> float:
    """Return the total variation distance of a column's values, the mean over columns."""
    pairs = zip(_bins(made, columns), _bins(real, columns), strict=True)
    return float(np.mean([_variation(one, other) for one, other in pairs]))


def pair_distance(made: Sequence[Row], real: Sequence[Row], columns: Sequence[Column]) -> float:
    """Return the total variation distance of two columns' values, the mean over pairs."""
    one, other = _bins(made, columns), _bins(real, columns)
    sizes = [column.choices + BINS for column in columns]
    distances = [
        _variation(one[a] * sizes[b] + one[b], other[a] * sizes[b] + other[b])
        for a, b in combinations(range(len(columns)), 2)
    ]
    return float(np.mean(distances)) if distances else 0.0


def copied(
    made: Sequence[Row], *, seen: Sequence[Row], unseen: Sequence[Row], columns: Sequence[Column]
) -> float:
    """Return the part of made-up rows nearer to a seen row than to an unseen one.

    As many of both are looked at, so that chance alone gives half.
    """
    n = min(len(seen), len(unseen), MOST_COMPARED)
    rows = encode_rows(made[:MOST_COMPARED], columns)
    to_seen = _nearest(rows, encode_rows(seen[:n], columns))
    to_unseen = _nearest(rows, encode_rows(unseen[:n], columns))
    return float(np.mean(np.where(to_seen == to_unseen, 0.5, to_seen < to_unseen)))


def auc(score: FloatArray, truth: BoolArray) -> float:
    """Return how often one that is true scores higher than one that is not; ties count half.

    Raises:
        ValueError: All are true, or none is.
    """
    n_true = int(np.count_nonzero(truth))
    n_false = len(truth) - n_true
    if not n_true or not n_false:
        raise ValueError("To tell them apart takes some that are true and some that are not.")
    ranks = rankdata(score)
    return float((ranks[truth].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def _fit_and_score(
    rows: Sequence[Row], others: Sequence[Column], target: str, value: Any, x: FloatArray
) -> FloatArray:
    """Fit a logistic regression to rows, by Newton's method, and score others."""
    truth = _has(rows, target, value)
    if truth.all() or not truth.any():
        raise ValueError(f"Some rows must have {target} {value!r}, and some must not.")
    known = np.column_stack([np.ones(len(rows)), encode_rows(rows, others)])
    pull = RIDGE * np.eye(known.shape[1])
    theta = np.zeros(known.shape[1])
    for _ in range(STEPS):
        p = expit(known @ theta)
        gradient = known.T @ (truth - p) - pull @ theta
        hessian = (known * (p * (1 - p))[:, None]).T @ known + pull
        theta += np.linalg.solve(hessian, gradient)
    return np.column_stack([np.ones(len(x)), x]) @ theta


def _has(rows: Sequence[Row], target: str, value: Any) -> BoolArray:
    return np.array([row.get(target) == value for row in rows])


def _bins(rows: Sequence[Row], columns: Sequence[Column]) -> list[IntArray]:
    """Number the choice of each row in each column; a rank is one of ten more choices."""
    x = encode_rows(rows, columns)
    found = []
    for block in blocks_of(columns):
        choice = x[:, block.choices].argmax(axis=1)
        if block.rank is not None:
            bin_ = np.minimum((x[:, block.rank] + 1) / 2 * BINS, BINS - 1).astype(np.int64)
            is_elsewhere = choice == block.column.choices - 1
            choice = np.where(is_elsewhere, block.column.choices - 1 + bin_, choice)
        found.append(choice)
    return found


def _variation(one: IntArray, other: IntArray) -> float:
    size = int(max(one.max(), other.max())) + 1
    parts = [np.bincount(each, minlength=size) / len(each) for each in (one, other)]
    return float(np.abs(parts[0] - parts[1]).sum() / 2)


def _nearest(rows: FloatArray, among: FloatArray) -> FloatArray:
    """Return each row's distance to the nearest of others, (n, d) and (m, d) to (n,)."""
    return np.array([np.abs(among - row).sum(axis=1).min() for row in rows])
