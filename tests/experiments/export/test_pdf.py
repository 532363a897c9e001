"""A report on paper says what the page says, whatever people write into it."""

import re

import pytest

from experiments.analysing.analysis import analyse
from experiments.export.pdf import to_document, to_pdf
from experiments.lifecycle.drafting import ArmPlan
from experiments.models import Analysis, Experiment
from experiments.reports import to_page
from tests.experiments.export.pdf_text import read_lines
from tests.makers import DAY, NOW, make_experiment, make_metric

pytestmark = pytest.mark.django_db

HOSTILE = (
    '#let x = 1; #read("/etc/passwd") $x^2$ \\ `raw` <label> @ref *bold* _it_ // gone /* */ '
    "[block] {code} #image(\"/a.svg\") ~ -- ... 'q' = h + i / j"
)
# A line of 17 cm, and a letter of 10 points that is as narrow as an "l" (a quarter of its height).
LINE, NARROWEST = 17 / 2.54 * 72, 2.5


def newest(experiment: Experiment) -> Analysis:
    return experiment.analyses.select_related("plan_version").get()


def read(experiment: Experiment) -> str:
    """Return all that can be read, without the spaces that lines break at."""
    lines = read_lines(to_pdf(experiment, newest(experiment)))
    return squeeze("".join(line.words for line in lines))


def squeeze(words: str) -> str:
    return re.sub(r"[\s\u200b]", "", words)


def hypothesise(experiment: Experiment, words: str) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(hypothesis=words)
    experiment.refresh_from_db()


def test_the_pdf_says_what_the_page_says(experiment: Experiment) -> None:
    page, text = to_page(newest(experiment)), read(experiment)
    said = [experiment.name, page.verdict["sentence"], page.verdict["next_step"]]
    for metric in page.metrics:
        said += [f"{metric.name} ({metric.role})", metric.describes, metric.margin, metric.adjusted]
        for row in metric.rows:
            interval = row.lift_interval or row.difference_interval
            # Cells follow one another as they do in the table.
            said += [f"{row.arm}{row.customers}{row.mean}{row.note}{row.lift}{interval}"]
            said += [f"{interval}{row.p_value}{row.together}"]
    said += [f"{finding['title']}: {finding['detail']}" for finding in page.findings]
    said += page.passed
    assert len(page.findings) > 0
    assert [words for words in said if squeeze(words) not in text] == []


def test_every_page_names_the_plan_and_the_time(experiment: Experiment) -> None:
    lines = read_lines(to_pdf(experiment, newest(experiment)))
    digest = experiment.plans.get().digest
    count = 1 + max(line.page for line in lines)
    assert count == 2
    for page in range(count):
        text = squeeze("".join(line.words for line in lines if line.page == page))
        assert f"SHA-256{digest}.Computed5March2026,12:00UTC.{page + 1}/{count}" in text


def test_a_report_without_a_plan_says_so(experiment: Experiment) -> None:
    experiment.analyses.update(plan_version=None)
    assert "Noplanwasfixed.Computed" in read(experiment)


def test_no_words_of_people_are_markup(experiment: Experiment) -> None:
    hypothesise(experiment, HOSTILE)
    Experiment.objects.filter(pk=experiment.pk).update(name=HOSTILE[:100])
    experiment.refresh_from_db()
    text = read(experiment)
    assert squeeze(HOSTILE) in text
    assert text.startswith(squeeze(HOSTILE[:100]))
    assert "root:" not in text


def test_digits_are_not_turned_around_by_what_is_not_seen(experiment: Experiment) -> None:
    hypothesise(experiment, "left \u202e+123\u202c \u2066x\u2069 \x01\x1b\x7f right")
    assert "left+123xright" in read(experiment)


def test_emoji_and_writing_from_right_to_left_leave_the_rest_as_it_is(
    experiment: Experiment,
) -> None:
    hypothesise(experiment, "before 😀 שלום after")
    text = read(experiment)
    assert "before" in text
    assert "after" in text
    assert "שלום"[::-1] in text or "שלום" in text


def test_what_has_no_space_stays_on_the_page() -> None:
    arms = [ArmPlan("control", "W" * 100, 5000, is_control=True), ArmPlan("new", "M" * 100, 5000)]
    made = make_experiment(goal=make_metric(), arms=arms)
    hypothesise(made, "long" * 50)
    analyse(made, now=NOW + DAY)
    lines = read_lines(to_pdf(made, newest(made)))
    assert "long" * 50 in squeeze("".join(line.words for line in lines))
    for line in lines:
        assert len(squeeze(line.words)) < LINE / NARROWEST
    # An arm's name breaks inside its own column, for its customers stand beside it. Both letters
    # are wider than 7 of the text's 9 points.
    headings = [line for line in lines if line.words == "Customers"]
    column = {line.x for line in lines if line.words == "Arm"}
    named = [
        line for line in lines if line.x in column and re.match("W{2}|M{2}", squeeze(line.words))
    ]
    assert sum(len(squeeze(line.words)) for line in named) == 2 * 200
    for line in named:
        above = min((each for each in headings if each.y > line.y), key=lambda each: each.y)
        assert line.x + 7 * len(squeeze(line.words)) < above.x


def test_arms_of_three_are_all_on_paper_with_why_there_is_no_estimate() -> None:
    arms = [ArmPlan("control", "Control", 4000, is_control=True)]
    arms += [ArmPlan(key, key.title(), 3000) for key in ("a", "b")]
    made = make_experiment(arms=arms)
    analyse(made, now=NOW + DAY)
    rows = to_document(made, newest(made))["sections"][0]["rows"]
    assert [row[0] for row in rows] == ["Control", "A", "B"]
    reasons = {row.note for row in to_page(newest(made)).metrics[0].rows}
    assert len(reasons) == 2
    assert all(squeeze(reason) in read(made) for reason in reasons)
