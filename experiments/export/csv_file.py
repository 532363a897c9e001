"""A report's numbers as CSV: a row for every metric and arm, of everybody and of each segment."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from audience.csv_cells import to_cell

COLUMNS = (
    "metric",
    "role",
    "unit",
    "dimension",
    "segment",
    "arm",
    "customers",
    "control_mean",
    "treatment_mean",
    "lift",
    "lift_low",
    "lift_high",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "ln_p_value",
    "ln_p_among_all",
    "method",
    "no_estimate",
)


def to_csv(report: Mapping[str, Any]) -> str:
    """Write a stored report; numbers keep all of their digits, and no text becomes a formula."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for row in _rows(report):
        writer.writerow([to_cell(row.get(column)) for column in COLUMNS])
    return file.getvalue()


def _rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    metrics = {metric["key"]: metric for metric in report["metrics"]}
    names = {arm["key"]: arm["name"] for arm in report["arms"]}
    sizes = {arm["key"]: arm["customers"] for arm in report["arms"]}
    for metric in report["metrics"]:
        for arm, result in metric["results"].items():
            yield {
                **_of(metric, names[arm], sizes[arm], result),
                "ln_p_among_all": metric["ln_p_adjusted"].get(arm),
            }
    for segment in report["segments"]:
        for item in segment["results"]:
            arm = item["arm"]
            yield {
                **_of(
                    metrics[item["metric"]], names[arm], segment["customers"][arm], item["result"]
                ),
                "dimension": segment["dimension"],
                "segment": segment["value"],
                "ln_p_among_all": item["ln_p_adjusted"],
            }


def _of(
    metric: Mapping[str, Any], arm: str, customers: int, result: Mapping[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "metric": metric["name"],
        "role": metric["role"],
        "unit": metric["unit"],
        "arm": arm,
        "customers": customers,
    }
    if result["kind"] != "estimate":
        return row | {"no_estimate": result["reason"]}
    lift = result["relative_interval"] or {"low": None, "high": None}
    difference = result["difference_interval"]
    return row | {
        "control_mean": result["control_mean"],
        "treatment_mean": result["treatment_mean"],
        "lift": result["relative"],
        "lift_low": lift["low"],
        "lift_high": lift["high"],
        "difference": result["difference"],
        "difference_low": difference["low"],
        "difference_high": difference["high"],
        "p_value": result["p_value"],
        "ln_p_value": result["ln_p_value"],
        "method": result["method"],
    }
