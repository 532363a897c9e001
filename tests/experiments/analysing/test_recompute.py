"""Whoever has a report with its moments can work every number of it out again."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from experiments.analysing.analysis import analyse
from experiments.analysing.recompute import recompute
from experiments.models import Analysis
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    make_customers,
    make_events,
    make_experiment,
    make_metric,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def analysis() -> Analysis:
    """An experiment with a cap, covariates, strata, segments and a guardrail."""
    capped = make_metric(kind="mean", cap={"percentile": 90.0})
    middle = make_metric(kind="quantile", percentile=50)
    experiment = make_experiment(
        others=[capped, middle],
        guardrails={make_metric("Cart Viewed"): 0.2},
        planned_customers=1000,
        minimum_days=1,
        strata="country",
        segments=["plan"],
    )
    for country in ("de", "fr"):
        for arm, bought in (("control", 40), ("new", 55)):
            people = make_customers(150, attributes={"country": country, "plan": country * 2})
            before = people[: bought + 20]
            make_events([event_row(p, "Order Completed", at=NOW - DAY, value=7.0) for p in before])
            expose(experiment, people, arm, at=NOW)
            make_events(
                [
                    event_row(p, "Order Completed", at=NOW + HOUR, value=5.0 + number)
                    for number, p in enumerate(people[:bought])
                ]
                + [event_row(p, "Cart Viewed", at=NOW + HOUR) for p in people[:100]]
            )
    analyse(experiment, now=NOW + 3 * DAY)
    return Analysis.objects.get(experiment=experiment)


def test_every_comparison_comes_out_the_same(analysis: Analysis) -> None:
    again = recompute(analysis.moments)
    for metric in analysis.report["metrics"]:
        found = again["metrics"][metric["key"]]["new"]
        assert found["result"] == metric["results"]["new"]
        assert found["raw"] == metric["raw"].get("new", metric["results"]["new"])
        assert found["ln_p_adjusted"] == metric["ln_p_adjusted"]["new"]
        assert found["together"] == metric["together"].get("new")
        assert found["explained"] == metric["explained"].get("new")


def test_every_segment_comes_out_the_same(analysis: Analysis) -> None:
    again = recompute(analysis.moments)["segments"]
    told = [(s["dimension"], s["value"], s["results"]) for s in analysis.report["segments"]]
    assert [(s["dimension"], s["value"], s["results"]) for s in again] == told
    assert len(told) == 4


def test_the_interval_of_a_capped_metric_is_explained_from_the_start(analysis: Analysis) -> None:
    capped = next(m for m in analysis.report["metrics"] if "percentile" in m["describes"])
    names = [stage["name"] for stage in capped["explained"]["new"]["stages"]]
    assert names == ["measured", "capped", "adjusted", "looks"]
    goal = analysis.report["metrics"][0]["explained"]["new"]
    assert [stage["name"] for stage in goal["stages"]] == ["measured", "adjusted", "looks"]
    assert goal["needed"][0] < 0 < goal["needed"][1]


def test_the_command_reads_the_document(analysis: Analysis, monkeypatch: Any) -> None:
    document = json.dumps({"report": {}, "moments": analysis.moments}).encode()
    assert run(document, monkeypatch) == json.loads(json.dumps(recompute(analysis.moments)))


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"moments": {"plan": {}}}'])
def test_anything_else_is_refused_in_words(document: bytes, monkeypatch: Any) -> None:
    with pytest.raises(CommandError, match="no report with its moments"):
        run(document, monkeypatch)


def run(document: bytes, monkeypatch: Any) -> Any:
    class Input:
        buffer = __import__("io").BytesIO(document)

    monkeypatch.setattr("sys.stdin", Input)
    output = StringIO()
    call_command("stats", "--stored", stdout=output)
    return json.loads(output.getvalue())
