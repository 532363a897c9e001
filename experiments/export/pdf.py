"""A report as PDF: what the page says, on paper."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

from experiments.export.drawing import draw_pdf, on_paper
from experiments.models import Analysis, Experiment, PlanVersion
from experiments.reports import ReportPage, to_page
from experiments.reports.metrics import MetricSection

TEMPLATE = Path(__file__).with_name("report.typ")
HEADINGS = ("Arm", "Customers", "Mean", "Lift", "Interval", "Chance alone", "Among all")


def to_pdf(experiment: Experiment, analysis: Analysis) -> bytes:
    """Set a stored analysis."""
    return draw_pdf(TEMPLATE, to_document(experiment, analysis))


def to_document(experiment: Experiment, analysis: Analysis) -> dict[str, Any]:
    """Return what the template shows, in words and pictures.

    A row that is shorter than its headings ends in a remark, which fills the rest.
    """
    page = to_page(analysis)
    version = analysis.plan_version
    as_of = f"{analysis.computed_at.astimezone(UTC):%-d %B %Y, %H:%M} UTC"
    return {
        "title": experiment.name,
        "status": experiment.get_outcome_display() or experiment.get_status_display(),
        "hypothesis": experiment.hypothesis,
        "digest": "" if version is None else version.digest,
        "sentence": page.verdict["sentence"],
        "next": page.verdict["next_step"],
        "progress": f"{page.customers:,} of {page.planned_customers:,} planned customers, as of "
        f"{as_of}. Intervals hold with {page.confidence_percent} confidence.",
        "sections": [*(_metric(metric) for metric in page.metrics), _trust(page)],
        "footer": f"{_cite(version)} Computed {as_of}.",
    }


def _cite(version: PlanVersion | None) -> str:
    """Name the plan that was promised."""
    if version is None:
        return "No plan was fixed."
    return f"Plan {version.number}, SHA-256 {version.digest}."


def _metric(metric: MetricSection) -> dict[str, Any]:
    rows = [
        [
            row.arm,
            f"{row.customers:,}",
            row.mean,
            *(
                [row.note]
                if row.note
                else [
                    row.lift if row.lift_interval else row.difference,
                    row.lift_interval or row.difference_interval,
                    row.p_value,
                    row.together,
                ]
            ),
        ]
        for row in metric.rows
    ]
    described = ", ".join(part for part in (f"The {metric.describes}", metric.margin) if part)
    return _section(
        f"{metric.name} ({metric.role})",
        " ".join(part for part in (f"{described}.", metric.adjusted) if part),
        headings=HEADINGS,
        rows=rows,
        pictures=[{"svg": on_paper(metric.forest), "alt": f"Change in {metric.name}"}]
        if metric.forest
        else [],
    )


def _trust(page: ReportPage) -> dict[str, Any]:
    arms: list[Mapping[str, Any]] = list(page.arms)
    return _section(
        "Can I trust this?",
        "",
        headings=("Arm", "Planned share", "Customers", "Share"),
        rows=[
            [arm["name"], arm["planned_share"], f"{arm['customers']:,}", arm["share"]]
            for arm in arms
        ],
        lines=[
            *(f"{finding['title']}: {finding['detail']}" for finding in page.findings),
            *page.passed,
        ],
    )


def _section(
    title: str,
    text: str,
    *,
    headings: Sequence[str],
    rows: list[list[str]],
    pictures: list[dict[str, str]] | None = None,
    lines: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "title": title,
        "text": text,
        "headings": headings,
        "rows": rows,
        "pictures": pictures or [],
        "lines": lines or [],
    }
