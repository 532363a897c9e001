"""A notebook that works the report's numbers out again with numpy, scipy and statsmodels alone."""

import json
from collections.abc import Mapping
from typing import Any

INTRODUCTION = """# {name}

{sentence}

The cells below hold what the report was computed from (per arm: how many customers, their means and
the covariance matrix of all columns) and work each comparison out again without OfferLab: shares by
the pooled z-test, means by Welch's t-test, ratios by the delta method, and means adjusted by
regression on covariates (Lin 2013). Quantiles need more than moments, and are left out. Where
outcomes are rare in arms of different sizes OfferLab's own test differs on purpose; `method` says
so."""

SETUP = '''import json
import math

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

document = json.loads(DOCUMENT)
moments, report = document["moments"], document["report"]
plan = {metric["key"]: metric for metric in moments["plan"]["metrics"]}
control = next(arm["key"] for arm in moments["plan"]["arms"] if arm["is_control"])


def select(arm, columns):
    """Return n, means and covariances of some columns of an arm."""
    stored = moments["arms"][arm]
    matrix = np.array(stored["covariance"])
    return stored["n"], np.array(stored["mean"])[columns], matrix[np.ix_(columns, columns)]


def welch(means, errors, sizes):
    """Return the difference and its two-sided p-value."""
    difference, error = means[1] - means[0], sum(errors)
    df = error**2 / sum(e**2 / (n - 1) for e, n in zip(errors, sizes))
    return difference, 2 * stats.t.sf(abs(difference) / math.sqrt(error), df)


def share(a, b):
    counts = [round(n * mean[0]) for n, mean, _ in (a, b)]
    _, p = proportions_ztest(counts, [a[0], b[0]])
    return b[1][0] - a[1][0], p


def mean(a, b):
    return welch([a[1][0], b[1][0]], [a[2][0, 0] / a[0], b[2][0, 0] / b[0]], [a[0], b[0]])


def ratio(a, b):
    values, errors = [], []
    for n, means, covariance in (a, b):
        value = means[0] / means[1]
        gradient = np.array([1, -value]) / means[1]
        values.append(value)
        errors.append(gradient @ covariance @ gradient / n)
    return welch(values, errors, [a[0], b[0]])


def adjusted(a, b):
    """Regress each arm's outcome on its covariates, and compare at everybody's means of them."""
    everybody = (a[0] * a[1][1:] + b[0] * b[1][1:]) / (a[0] + b[0])
    return np.subtract(*[
        means[0]
        + np.linalg.pinv(cov[1:, 1:], hermitian=True) @ cov[1:, 0] @ (everybody - means[1:])
        for _, means, cov in (b, a)
    ])'''

COMPARE = """WAYS = {"conversion": share, "funnel": share, "mean": mean, "ratio": ratio}
rows = []
for metric in report["metrics"]:
    way = WAYS.get(plan[metric["key"]]["kind"])
    if way is None:
        continue
    place = moments["metrics"][metric["key"]]["columns"]
    for arm, result in metric["results"].items():
        raw = metric["raw"].get(arm, result)
        if raw["kind"] != "estimate":
            continue
        difference, p = way(select(control, place), select(arm, place))
        rows.append({
            "metric": metric["name"], "arm": arm, "method": raw["method"],
            "theirs": (raw["difference"], raw["p_value"]), "here": (difference, p),
        })
        if way is mean and arm in metric["raw"] and not moments["strata"]:
            used = [c for c in moments["covariates"] if select(control, [c])[2][0, 0] > 0
                    and select(arm, [c])[2][0, 0] > 0]
            most = min(moments["arms"][key]["n"] for key in (control, arm)) // 20
            columns = place + used[:most]
            rows.append({
                "metric": metric["name"] + ", adjusted", "arm": arm, "method": result["method"],
                "theirs": (result["difference"],),
                "here": (adjusted(select(control, columns), select(arm, columns)),),
            })
for row in rows:
    print(f"{row['metric']}, {row['arm']}: OfferLab {row['theirs']}, here {row['here']}")"""


def to_notebook(document: Mapping[str, Any]) -> str:
    """Write the notebook of a results document that holds its moments."""
    introduction = INTRODUCTION.format(
        name=document["name"], sentence=document["report"]["verdict"]["sentence"]
    )
    kept = {name: document[name] for name in ("experiment", "computed_at", "moments", "report")}
    literal = repr(json.dumps(kept, ensure_ascii=True))
    cells = [
        {"cell_type": "markdown", "source": introduction},
        {"cell_type": "code", "source": f"DOCUMENT = {literal}"},
        {"cell_type": "code", "source": SETUP},
        {"cell_type": "code", "source": COMPARE},
    ]
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"language_info": {"name": "python"}},
            "cells": [
                {"id": f"cell-{number}", "metadata": {}, **cell}
                | ({"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {})
                for number, cell in enumerate(cells)
            ],
        },
        indent=1,
    )
