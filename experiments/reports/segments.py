"""Puts one metric's results within segments side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.reports.metrics import say_result
from experiments.stats.estimate import result_from_json
from experiments.wording import say_p_value


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One arm on the goal within one segment, in words."""

    segment: str
    arm: str
    customers: int
    change: str
    interval: str
    together: str


def to_segments(
    report: Mapping[str, Any], *, metric: Mapping[str, Any]
) -> list[tuple[str, Sequence[SegmentRow]]]:
    """Return a metric's rows for each way to divide customers."""
    names = {arm["key"]: arm["name"] for arm in report["arms"]}
    found: dict[str, list[SegmentRow]] = {}
    for segment in report["segments"]:
        rows = found.setdefault(segment["dimension"], [])
        for item in segment["results"]:
            if item["metric"] != metric["key"]:
                continue
            change, interval = say_result(result_from_json(item["result"]), metric)
            ln_p = item["ln_p_adjusted"]
            rows.append(
                SegmentRow(
                    segment["value"],
                    names[item["arm"]],
                    segment["customers"][item["arm"]],
                    change,
                    interval,
                    "" if ln_p is None else say_p_value(ln_p),
                )
            )
    return list(found.items())
