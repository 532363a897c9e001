"""A report as CSV: complete, exact, and safe to open in a spreadsheet."""

import csv
import io
from typing import Any

import pytest

from experiments.export.csv_file import to_csv
from experiments.models import Experiment


def report_of(*, name: str) -> dict[str, Any]:
    """Write a report of one comparison that came to nothing, with one text everywhere."""
    return {
        "arms": [{"key": "a", "name": name, "customers": 1}],
        "segments": [],
        "metrics": [
            {
                "key": "m",
                "name": name,
                "role": "goal",
                "unit": "number",
                "results": {"a": {"kind": "inconclusive", "reason": name}},
                "ln_p_adjusted": {"a": None},
            }
        ],
    }


@pytest.mark.django_db
def test_the_csv_has_every_comparison_with_all_of_its_digits(experiment: Experiment) -> None:
    report = experiment.analyses.get().report
    rows = list(csv.DictReader(io.StringIO(to_csv(report), newline="")))
    assert len(rows) == 5 + 2 * 5
    assert {row["segment"] for row in rows} == {"", "de", "'=cmd()"}
    for row, metric in zip(rows, report["metrics"], strict=False):
        result = metric["results"]["new"]
        assert row["customers"] == "340"
        assert float(row["control_mean"]) == result["control_mean"]
        assert float(row["treatment_mean"]) == result["treatment_mean"]
        assert float(row["difference"]) == result["difference"]
        assert float(row["difference_low"]) == result["difference_interval"]["low"]
        assert float(row["difference_high"]) == result["difference_interval"]["high"]
        assert float(row["lift"]) == result["relative"]
        assert float(row["lift_low"]) == result["relative_interval"]["low"]
        assert float(row["lift_high"]) == result["relative_interval"]["high"]
        assert float(row["p_value"]) == result["p_value"]
        assert float(row["ln_p_value"]) == result["ln_p_value"]
        assert float(row["ln_p_among_all"]) == metric["ln_p_adjusted"]["new"]
    by_segment = {(row["metric"], row["segment"]): row for row in rows[5:]}
    names = {metric["key"]: metric["name"] for metric in report["metrics"]}
    found = next(segment for segment in report["segments"] if segment["value"] == "de")
    for item in found["results"]:
        row = by_segment[names[item["metric"]], "de"]
        assert (row["dimension"], row["customers"]) == ("country", "170")
        assert float(row["difference"]) == item["result"]["difference"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_text_of_the_csv_is_a_formula(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(to_csv(report_of(name=text)), newline=""))
    assert (row["metric"], row["arm"], row["no_estimate"]) == (f"'{text}",) * 3


def test_quotes_commas_and_lines_come_back_as_they_were() -> None:
    text = 'say "yes", or\nnot; 😀'
    written = to_csv(report_of(name=text))
    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    assert (row["metric"], row["arm"], row["no_estimate"]) == (text,) * 3
    assert written.count("\r\n") == 2
    assert '"say ""yes"", or\nnot; 😀"' in written
