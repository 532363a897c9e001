"""A notebook that works the report's numbers out again with numpy, scipy and statsmodels alone."""

import json
import re
from collections.abc import Mapping
from typing import Any

INTRODUCTION = """# {name}

{sentence}

The cells below hold what the report was computed from (per arm: how many customers, their means and
the covariance matrix of all columns) and work each comparison out again without OfferLab: shares by
the pooled z-test and Newcombe's interval, means by Welch's t-test, ratios by the delta method, and
shares and means adjusted by regression on covariates (Lin 2013).

Differences agree to the last digits. Tests and intervals do where `method` names the same
procedure, which `same` says. They do not for ratios, whose degrees of freedom OfferLab counts more
cautiously, nor for means of rare outcomes in arms of different sizes, which it judges by errors at
the common mean. Where an arm's share of the customers changed on the way, only those who came at
the same odds are compared; of several such groups put together the difference is worked out again.
Quantiles need more than moments, and are left out."""

SETUP = '''import json
import math

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

document = json.loads(DOCUMENT)
moments, report = document["moments"], document["report"]
plan = {metric["key"]: metric for metric in moments["plan"]["metrics"]}
control = next(arm["key"] for arm in moments["plan"]["arms"] if arm["is_control"])


def select(arm, columns, stored=moments):
    """Return n, means and covariances of some columns of an arm."""
    arm = stored["arms"][arm]
    matrix = np.array(arm["covariance"])
    return arm["n"], np.array(arm["mean"])[columns], matrix[np.ix_(columns, columns)]


def pool(a, b):
    """Put two groups of customers together."""
    (n_a, mean_a, matrix_a), (n_b, mean_b, matrix_b) = a, b
    if not n_a or not n_b:
        return a if n_a else b
    n, step = n_a + n_b, mean_b - mean_a
    scatter = (n_a - 1) * matrix_a + (n_b - 1) * matrix_b
    scatter = scatter + np.outer(step, step) * n_a * n_b / n
    return n, mean_a + step * n_b / n, scatter / (n - 1)


def odds(phase, arm):
    """Return how many came into an arm for each in the control; None where that is not sure."""
    found = {
        w[arm] / w[control] if w.get(arm) and w.get(control) else None for w in phase["weights"]
    }
    return found.pop() if len(found) == 1 else None


def groups(arm, columns):
    """Return control and treatment among customers who came at the same odds, with shares."""
    if not moments.get("phases"):
        return [(1.0, select(control, columns), select(arm, columns))]
    found = {}
    for phase in moments["phases"]:
        if (key := odds(phase, arm)) is not None:
            pair = [select(one, columns, phase) for one in (control, arm)]
            found[key] = [pool(*both) for both in zip(found[key], pair)] if key in found else pair
    # Of fewer than 20 customers in an arm OfferLab makes no group.
    told = [(a[0] * b[0] / (a[0] + b[0]), a, b) for a, b in found.values() if min(a[0], b[0]) >= 20]
    return [(h / sum(each for each, _, _ in told), a, b) for h, a, b in told]


def weigh(found, way):
    """Return a difference of groups put together: of their means, each by its share."""
    a, b = (sum(each[0] * each[side][1] for each in found) for side in (1, 2))
    return (b[0] / b[1] - a[0] / a[1] if way is ratio else b[0] - a[0],)


def welch(means, errors, sizes, confidence):
    """Return the difference, its two-sided p-value and its interval."""
    difference, error = means[1] - means[0], sum(errors)
    df = error**2 / sum(e**2 / (n - 1) for e, n in zip(errors, sizes))
    reach = stats.t.ppf((1 + confidence) / 2, df) * math.sqrt(error)
    p = 2 * stats.t.sf(abs(difference) / math.sqrt(error), df)
    return difference, p, difference - reach, difference + reach


def share(a, b, confidence):
    (x_a, n_a), (x_b, n_b) = ((round(n * mean[0]), n) for n, mean, _ in (a, b))
    _, p = proportions_ztest([x_a, x_b], [n_a, n_b])
    interval = confint_proportions_2indep(
        x_b, n_b, x_a, n_a, method="newcomb", compare="diff", alpha=1 - confidence
    )
    return x_b / n_b - x_a / n_a, p, *interval


def mean(a, b, confidence):
    errors = [covariance[0, 0] / n for n, _, covariance in (a, b)]
    return welch([a[1][0], b[1][0]], errors, [a[0], b[0]], confidence)


def ratio(a, b, confidence):
    values, errors = [], []
    for n, means, covariance in (a, b):
        value = means[0] / means[1]
        gradient = np.array([1, -value]) / means[1]
        values.append(value)
        errors.append(gradient @ covariance @ gradient / n)
    return welch(values, errors, [a[0], b[0]], confidence)


def adjusted(a, b):
    """Regress each arm's outcome on its covariates, and compare at everybody's means of them."""
    everybody = (a[0] * a[1][1:] + b[0] * b[1][1:]) / (a[0] + b[0])
    means = []
    for _, mean, covariance in (b, a):
        # Of correlations, so that what other covariates determine is told from what is small.
        scale = np.sqrt(np.diag(covariance)[1:])
        correlations = covariance[1:, 1:] / np.outer(scale, scale)
        slopes = np.linalg.pinv(correlations, 1e-8, hermitian=True) @ (covariance[1:, 0] / scale)
        means.append(mean[0] + slopes @ ((everybody - mean[1:]) / scale))
    return means[0] - means[1]'''

COMPARE = """WAYS = {"conversion": share, "funnel": share, "mean": mean, "ratio": ratio}
SAME = {share: "Pooled two-proportion z-test", mean: "Welch's t-test"}
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
        interval, found = raw["difference_interval"], groups(arm, place)
        if len(found) != 1:
            if found:
                rows.append({
                    "metric": metric["name"], "arm": arm, "method": raw["method"], "same": True,
                    "theirs": (raw["difference"],), "here": weigh(found, way),
                })
            continue
        ((_, before, after),) = found
        rows.append({
            "metric": metric["name"], "arm": arm, "method": raw["method"],
            "same": way in SAME and raw["method"].startswith(SAME[way]),
            "theirs": (raw["difference"], raw["p_value"], interval["low"], interval["high"]),
            "here": way(before, after, raw["confidence"]),
        })
        # Where customers are weighted by strata the sums of everybody are not enough.
        is_adjusted = result["kind"] == "estimate" and result["method"].startswith("Regression")
        if way in (mean, share) and is_adjusted and not moments["strata"]:
            used = [c for c in moments["covariates"] if select(control, [c])[2][0, 0] > 0
                    and select(arm, [c])[2][0, 0] > 0]
            # OfferLab asks for 20 customers for each covariate, and leaves out the last ones.
            most = min(before[0], after[0]) // 20
            columns = place + used[:most]
            ((_, before, after),) = groups(arm, columns)
            rows.append({
                "metric": metric["name"] + ", adjusted", "arm": arm, "method": result["method"],
                "same": True, "theirs": (result["difference"],),
                "here": (adjusted(before, after),),
            })
for row in rows:
    print(row["metric"], "/", row["arm"], "/", "same method" if row["same"] else row["method"])
    for name, theirs, here in zip(("difference", "p", "low", "high"), row["theirs"], row["here"]):
        print(f"    {name:10}  OfferLab {theirs:.12g}  here {here:.12g}")"""

# What Markdown and the HTML in it would read as more than words.
_MARKUP = re.compile(r"[\\`*_{}\[\]()<>#+!|~$&:-]")


def to_notebook(document: Mapping[str, Any]) -> str:
    """Write a notebook (nbformat 4.5) of a results document.

    Args:
        document: With its moments, as `results_api.to_document` writes it.
    """
    introduction = INTRODUCTION.format(
        name=_plain(document["name"]), sentence=_plain(document["report"]["verdict"]["sentence"])
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


def _plain(words: str) -> str:
    """Keep words on one line, and let a reader of Markdown show them as they are."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", " ".join(words.split()))
