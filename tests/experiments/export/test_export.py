"""A report as files: complete, safe, and checked by what others would do with them."""

import csv
import io
import json
import re
import zlib
from http import HTTPStatus
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from experiments.analysis import analyse
from experiments.charts import ForestRow, forest_plot
from experiments.drafting import ArmPlan
from experiments.export.csv_file import to_csv
from experiments.export.drawing import to_png
from experiments.export.notebook import to_notebook
from experiments.export.pdf import to_document, to_pdf
from experiments.export.sql_file import to_sql
from experiments.models import Analysis, Experiment
from experiments.results_api import to_document as to_results
from experiments.stats.moments import Moments
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
    make_user,
)

pytestmark = pytest.mark.django_db

HOSTILE = (
    '#let x = 1; #read("/etc/passwd") $x^2$ \\ `raw` <label> @ref *bold* _it_ // gone /* */ '
    "[block] {code} \u202eright\u202c 😀 " + "long" * 50
)


@pytest.fixture
def experiment() -> Experiment:
    """Shares, means with covariates, a ratio and a quantile, in two arms of one size."""
    spend, middle = make_metric(kind="mean"), make_metric(kind="quantile", percentile=50)
    ratio = make_metric()
    ratio.kind, ratio.params = "ratio", {
        "numerator": {"event": "Order Completed", "of": "value"},
        "denominator": {"event": "Order Completed", "of": "count"},
    }  # fmt: skip
    ratio.save()
    made = make_experiment(
        others=[spend, middle, ratio],
        guardrails={make_metric("Cart Viewed"): 0.2},
        planned_customers=700,
        minimum_days=1,
        segments=["country"],
    )
    for country in ("de", "=cmd()"):
        for arm, bought in (("control", 60), ("new", 80)):
            people = make_customers(170, attributes={"country": country})
            before = [
                event_row(p, "Order Completed", at=NOW - DAY, value=5.0 + n % 7)
                for n, p in enumerate(people[: bought + 40])
            ]
            expose(made, people, arm, at=NOW)
            make_events(
                before
                + [
                    event_row(p, "Order Completed", at=NOW + HOUR, value=5.0 + 1.3 * (n % 19))
                    for n, p in enumerate(people[:bought])
                ]
                + [event_row(p, "Cart Viewed", at=NOW + HOUR) for p in people[:100]]
            )
    analyse(made, now=NOW + 3 * DAY)
    return made


def newest(experiment: Experiment) -> Analysis:
    return experiment.analyses.select_related("plan_version").get()


def words_of(pdf: bytes) -> str:
    """Read what a PDF's streams hold, as far as it says so in the clear."""
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.S):
        try:
            found.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return b"\n".join(found).decode("latin-1")


def test_the_csv_has_every_comparison_with_all_of_its_digits(experiment: Experiment) -> None:
    report = newest(experiment).report
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert len(rows) == 5 + 2 * 5
    goal = report["metrics"][0]
    result = goal["results"]["new"]
    assert float(rows[0]["difference"]) == result["difference"]
    assert float(rows[0]["lift_high"]) == result["relative_interval"]["high"]
    assert float(rows[0]["ln_p_among_all"]) == goal["ln_p_adjusted"]["new"]
    assert {row["segment"] for row in rows} == {"", "de", "'=cmd()"}
    assert rows[0]["customers"] == "340"


def test_no_text_of_the_csv_is_a_formula() -> None:
    for text in ("=1+1", "+1", "-1", "@x", "\tx", "\rx"):
        report: dict[str, Any] = {
            "arms": [{"key": "a", "name": text, "customers": 1}],
            "segments": [],
            "metrics": [
                {
                    "key": "m", "name": text, "role": "goal", "unit": "number",
                    "results": {"a": {"kind": "inconclusive", "reason": text}},
                    "ln_p_adjusted": {"a": None},
                }
            ],
        }  # fmt: skip
        (row,) = csv.DictReader(io.StringIO(to_csv(report), newline=""))
        assert (row["metric"], row["arm"], row["no_estimate"]) == (f"'{text}",) * 3


def test_the_notebook_finds_the_same_numbers_by_itself(experiment: Experiment) -> None:
    notebook = json.loads(
        to_notebook(to_results(experiment, newest(experiment), with_moments=True))
    )
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(cell["source"], names)  # noqa: S102 - as whoever opens it does
    rows = names["rows"]
    assert len(rows) == 5
    for row in rows:
        for theirs, here in zip(row["theirs"], row["here"], strict=True):
            # A ratio's degrees of freedom are counted in another way; what is pooled by purpose
            # says so, and is not among these.
            loose = "ratio" in str(names["plan"]) and len(row["theirs"]) > 1
            assert here == pytest.approx(theirs, rel=0.05 if loose else 1e-9)
        assert row["here"][0] == pytest.approx(row["theirs"][0], rel=1e-9)


def test_the_sql_gives_the_moments_that_are_stored(experiment: Experiment) -> None:
    analysis = newest(experiment)
    exposures, moments, rest = to_sql(experiment, analysis).split(";\n")
    assert rest.strip() == ""
    ids = dict(experiment.arms.values_list("pk", "key"))
    with connection.cursor() as cursor:
        cursor.execute(exposures.replace("%", "%%"))
        assert sum(row[-3] for row in cursor.fetchall() if all(row[2:-3:2])) == 680
        cursor.execute(moments)
        rows = [row for row in cursor.fetchall() if row[0] is not None and row[1]]
    for arm_id, _, _, n, means, *_ in rows:
        stored = Moments.from_json(analysis.moments["arms"][ids[arm_id]])
        assert n == stored.n
        count = len(means)
        assert [float(mean) for mean in means] == pytest.approx(list(stored.mean[:count]))
    assert len(rows) == 2


def test_the_pdf_is_one_with_its_title_whatever_people_write(experiment: Experiment) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(name=HOSTILE[:100], hypothesis=HOSTILE)
    experiment.refresh_from_db()
    pdf = to_pdf(experiment, newest(experiment))
    assert pdf.startswith(b"%PDF-")
    assert b"/Lang" in pdf or "/Lang" in words_of(pdf)
    document = to_document(experiment, newest(experiment))
    assert document["hypothesis"] == HOSTILE
    assert len(document["sections"]) == 6
    assert document["digest"] == experiment.plans.get().digest


def test_a_picture_is_a_png_of_its_size() -> None:
    svg = forest_plot([ForestRow("<New> & old", -0.1, 0.1, 0.3, "+10%")], unit="percent")
    png = to_png(svg, scale=2.0)
    assert png.startswith(b"\x89PNG")
    width = int.from_bytes(png[16:20], "big")
    assert width == pytest.approx(2 * 0.75 * 640 + 2 * 16, rel=0.3)
    assert len(to_png(svg, scale=1.0)) < len(png)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pdf", "application/pdf"),
        ("csv", "text/csv; charset=utf-8"),
        ("ipynb", "application/x-ipynb+json"),
        ("sql", "application/sql"),
    ],
)
def test_every_format_is_handed_out(experiment: Experiment, name: str, kind: str) -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("experiments.view_experiment"))
    answer = client.get(f"{experiment.get_absolute_url()}export.{name}")
    assert (answer.status_code, answer["content-type"]) == (HTTPStatus.OK, kind)
    assert answer["content-disposition"] == f'attachment; filename="{experiment.key}.{name}"'
    assert f"export.{name}" in client.get(experiment.get_absolute_url()).content.decode()


def test_nothing_is_handed_out_before_its_time(experiment: Experiment) -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("experiments.view_experiment"))
    missing = f"{make_experiment().get_absolute_url()}export.csv"
    assert client.get(missing).status_code == HTTPStatus.NOT_FOUND
    assert client.get(f"{experiment.get_absolute_url()}export.exe").status_code == 404
    Experiment.objects.filter(pk=experiment.pk).update(started_at=timezone.now())
    hidden = f"{experiment.get_absolute_url()}export.csv"
    assert client.get(hidden).status_code == HTTPStatus.FORBIDDEN


def test_arms_of_three_are_all_in_the_document() -> None:
    arms = [ArmPlan("control", "Control", 4000, is_control=True)]
    arms += [ArmPlan(key, key.title(), 3000) for key in ("a", "b")]
    made = make_experiment(arms=arms)
    analyse(made, now=NOW + DAY)
    document = to_document(made, newest(made))
    assert [row[0] for row in document["sections"][0]["rows"]] == ["Control", "A", "B"]
