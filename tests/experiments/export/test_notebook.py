"""The notebook finds the report's numbers by itself, with other people's code."""

import json
import re
from typing import Any

import pytest

from experiments.analysing.analysis import analyse
from experiments.export.api import to_document
from experiments.export.notebook import to_notebook
from experiments.lifecycle.adjusting import halt_arm
from experiments.models import Experiment
from tests.makers import DAY, NOW, expose, make_customers, make_experiment

pytestmark = pytest.mark.django_db

HOSTILE = "# {x} <img src='http://a'> ![a](http://b)\n## `c` $d$ \"\"\" ''' \\ *e* &lt;"


def write(experiment: Experiment) -> dict[str, Any]:
    """Write and read back."""
    document = to_document(experiment, experiment.analyses.get(), with_moments=True)
    notebook: dict[str, Any] = json.loads(to_notebook(document))
    return notebook


def run(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the cells as whoever opens it does."""
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(cell["source"], names)  # noqa: S102 - that is what it is for
    rows: list[dict[str, Any]] = names["rows"]
    return rows


def test_the_notebook_finds_the_same_numbers_by_itself(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run(write(experiment))
    for row in rows:
        assert row["here"][0] == pytest.approx(row["theirs"][0], rel=1e-9)
        if row["same"]:
            assert row["here"] == pytest.approx(row["theirs"], rel=1e-9, abs=1e-12)
    # Two shares and a mean, each as measured and adjusted; and a ratio, by another procedure.
    assert [len(row["here"]) for row in rows if row["same"]] == [4, 1, 4, 1, 4, 1]
    (ratio,) = [row for row in rows if not row["same"]]
    # Its t is 2.69 with 675 degrees of freedom here, and with some 270 there: that makes p 3.6%
    # larger and the interval 0.3% wider.
    assert ratio["here"][1] == pytest.approx(ratio["theirs"][1], rel=0.04)
    assert ratio["here"][3] - ratio["here"][2] == pytest.approx(
        ratio["theirs"][3] - ratio["theirs"][2], rel=0.004
    )
    printed = capsys.readouterr().out
    assert printed.count("OfferLab") == 4 * 4 + 3


def test_the_notebook_compares_those_who_came_at_the_same_odds(ramped: Experiment) -> None:
    rows = run(write(ramped))
    assert len(rows) == 2
    for row in rows:
        assert row["method"].startswith("Compared within 2 groups")
        assert row["here"] == pytest.approx(row["theirs"], rel=1e-9, abs=1e-12)


def test_the_notebook_compares_a_halted_arm_with_the_control_of_its_time(
    experiment: Experiment,
) -> None:
    halt_arm(experiment, "new", by=None, now=NOW + DAY, reason="a bug")
    expose(experiment, make_customers(300), "control", at=NOW + 2 * DAY)
    experiment.analyses.all().delete()
    analyse(experiment, now=NOW + 3 * DAY)
    rows = run(write(experiment))
    assert [len(row["here"]) for row in rows if row["same"]] == [4, 1, 4, 1, 4, 1]
    for row in rows:
        if row["same"]:
            assert row["here"] == pytest.approx(row["theirs"], rel=1e-9, abs=1e-12)


def test_the_notebook_of_nothing_runs() -> None:
    made = make_experiment()
    analyse(made, now=NOW + DAY)
    assert run(write(made)) == []


def test_no_words_of_the_notebook_are_markup(experiment: Experiment) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(name=HOSTILE)
    experiment.refresh_from_db()
    notebook = write(experiment)
    heading, _, _ = notebook["cells"][0]["source"].partition("\n")
    assert re.fullmatch(r"# (&#\d+;|[\w\s/='\";.,])+", heading)
    assert re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), heading)[2:] == " ".join(
        HOSTILE.split()
    )
    assert len(run(notebook)) == 7


def test_the_notebook_has_the_form_of_version_4_5(experiment: Experiment) -> None:
    notebook = write(experiment)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook) == {"nbformat", "nbformat_minor", "metadata", "cells"}
    for cell in notebook["cells"]:
        more = {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"id", "cell_type", "metadata", "source"} | more
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell["id"])
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
