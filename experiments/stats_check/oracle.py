"""Says what scipy and statsmodels make of a document's numbers, for anyone to compare."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import UNSET
from scipy.stats import ttest_ind_from_stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from experiments.stats.moments import Moments
from experiments.stats_check.document import Comparison, Counts, Document

NOT_OFFERED = "scipy and statsmodels compare counts and means of one column; this is neither."


def ask_oracles(document: Document) -> list[dict[str, Any]]:
    """Have every comparison of a document answered by others' code, in the document's order.

    What they say stands under the names that it has in our results, None where they find no finite
    number; each name has the function that said it under `said_by`. Where they offer nothing there
    is a `reason` instead.
    """
    return [_ask(comparison, confidence=document.confidence) for comparison in document.comparisons]


def _ask(comparison: Comparison, *, confidence: float) -> dict[str, Any]:
    control, treatment = comparison.measure()
    if isinstance(control, Counts) and isinstance(treatment, Counts):
        return _ask_about_counts(control, treatment, alpha=1 - confidence)
    assert isinstance(control, Moments)
    assert isinstance(treatment, Moments)
    if len(control.mean) > 1 or comparison.metric not in (UNSET, "mean"):
        return {"reason": NOT_OFFERED}
    return _ask_about_means(comparison, control, treatment, alpha=1 - confidence)


def _ask_about_counts(control: Counts, treatment: Counts, *, alpha: float) -> dict[str, Any]:
    converted = (treatment.converted, control.converted)
    customers = (treatment.customers, control.customers)
    arms = (converted[0], customers[0], converted[1], customers[1])
    return {
        "p_value": _number(lambda: proportions_ztest(converted, customers)[1]),
        "difference_interval": _interval(
            lambda: confint_proportions_2indep(*arms, method="newcomb", compare="diff", alpha=alpha)
        ),
        "relative_interval": _interval(
            lambda: np.subtract(
                confint_proportions_2indep(*arms, method="log", compare="ratio", alpha=alpha), 1
            )
        ),
        "said_by": {
            "p_value": "statsmodels proportions_ztest",
            "difference_interval": "statsmodels confint_proportions_2indep, newcomb",
            "relative_interval": "statsmodels confint_proportions_2indep, log, less 1",
        },
    }


def _ask_about_means(
    comparison: Comparison, control: Moments, treatment: Moments, *, alpha: float
) -> dict[str, Any]:
    (n_t, mean_t, sd_t), (n_c, mean_c, sd_c) = (
        (arm.n, arm.mean[0], math.sqrt(arm.covariance[0][0])) for arm in (treatment, control)
    )
    said: dict[str, Any] = {
        "p_value": _number(
            lambda: float(
                ttest_ind_from_stats(mean_t, sd_t, n_t, mean_c, sd_c, n_c, equal_var=False).pvalue
            )
        ),
        "said_by": {"p_value": "scipy ttest_ind_from_stats, Welch"},
    }
    # From moments alone neither gives an interval.
    values_c, values_t = comparison.control.values, comparison.treatment.values
    if values_c is not UNSET and values_t is not UNSET:
        said["difference_interval"] = _interval(
            lambda: CompareMeans(DescrStatsW(values_t), DescrStatsW(values_c)).tconfint_diff(
                alpha=alpha, usevar="unequal"
            )
        )
        said["said_by"]["difference_interval"] = "statsmodels CompareMeans.tconfint_diff, unequal"
    return said


def _number(ask: Callable[[], float]) -> float | None:
    found = _finite(lambda: [ask()])
    return None if found is None else found[0]


def _interval(ask: Callable[[], Sequence[float]]) -> dict[str, float] | None:
    found = _finite(ask)
    return None if found is None else dict(zip(("low", "high"), found, strict=True))


def _finite(ask: Callable[[], Sequence[float]]) -> list[float] | None:
    """Return what is said, or None where nobody converted or nothing varies."""
    # They divide by zero there, and only sometimes raise.
    with np.errstate(all="ignore"):
        try:
            found = [float(value) for value in ask()]
        except ZeroDivisionError:
            return None
    return found if all(map(math.isfinite, found)) else None
