"""Says what changed from one stored analysis to a later one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.reports.metrics import say_result
from experiments.stats.estimate import result_from_json

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was."""

    what: str
    before: str
    after: str


def find_differences(before: Report, after: Report) -> list[Difference]:
    """Compare two reports of one experiment; what stayed the same to the digits shown is left out.

    Args:
        before: The earlier one.
        after: The later one.
    """
    found = [*_totals(before, after), *_findings(before, after), *_results(before, after)]
    return [one for one in found if one.before != one.after]


def _totals(before: Report, after: Report) -> Iterator[Difference]:
    yield Difference("Customers", f"{before['customers']:,}", f"{after['customers']:,}")
    planned = "planned_customers"
    yield Difference("Planned customers", f"{before[planned]:,}", f"{after[planned]:,}")
    yield Difference("Verdict", before["verdict"]["sentence"], after["verdict"]["sentence"])


def _findings(before: Report, after: Report) -> Iterator[Difference]:
    """Name what the checks found in one of the two only."""
    titles = [
        {finding["code"]: finding["title"] for finding in report["findings"]}
        for report in (before, after)
    ]
    for code in dict.fromkeys([*titles[0], *titles[1]]):
        yield Difference("Check", *(title.get(code, "fine") for title in titles))


def _results(before: Report, after: Report) -> Iterator[Difference]:
    names = {arm["key"]: arm["name"] for arm in [*before["arms"], *after["arms"]]}
    metrics = [
        {metric["key"]: metric for metric in report["metrics"]} for report in (before, after)
    ]
    for key in dict.fromkeys([*metrics[0], *metrics[1]]):
        both = [found.get(key) for found in metrics]
        arms = dict.fromkeys(arm for metric in both if metric for arm in metric["results"])
        for arm in arms:
            name = next(metric["name"] for metric in both if metric)
            yield Difference(
                f"{name}, {names.get(arm, arm)}", *(_say(metric, arm) for metric in both)
            )


def _say(metric: Mapping[str, Any] | None, arm: str) -> str:
    if metric is None or arm not in metric["results"]:
        return "not measured"
    change, interval = say_result(result_from_json(metric["results"][arm]), metric)
    return f"{change} ({interval})" if interval else change
