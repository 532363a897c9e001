"""The page: it shows what was broken, and the one that is committed has every scenario."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.calibration.__main__ import main
from experiments.calibration.accrual import Late
from experiments.calibration.families import Together
from experiments.calibration.page import Calibration, write_page
from experiments.calibration.peers import Performance
from experiments.calibration.promises import Check, Row
from experiments.calibration.scenarios import SCENARIOS
from experiments.calibration.tallies import Tally
from experiments.metrics import METRICS

COMMITTED = Path(__file__).parents[3] / "docs" / "calibration.md"
GOOD = Tally(1000, 900, 23, 24, 900, 20, 22, 450, 10, 13)
ROW = Row(SCENARIOS[0].kind, SCENARIOS[0].name, "none", "fixed horizon", "exactly", GOOD, GOOD)
DEFAULT = Performance("the default", 0.05, 0.78, 0.7, 0.99, 0.4)
CALIBRATION = Calibration(
    runs=10,
    seed=1,
    rows=[ROW],
    pooled=[replace(ROW, kind="everything", scenario="everything")],
    performances=[DEFAULT],
    late=[Late(0.0, 0.05)],
    together=[Together("the goal works", "independent", (Check("Holm", 3, 100, 0.0, 0.05),))],
    family_runs=100,
)


def test_where_everything_is_kept_the_page_says_so() -> None:
    assert CALIBRATION.broken == []
    page = write_page(CALIBRATION)
    assert "## Promises that were not kept\n\nNone." in page
    assert "**no**" not in page


def test_a_row_shows_its_shares() -> None:
    page = write_page(CALIBRATION)
    cells = "5.2% (exactly) | 2.2% + 2.4% | 2.2% + 2.9% | 10.0% | 50.0% | yes"
    assert f"| none | fixed horizon | {cells} |" in page


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"rows": [replace(ROW, none=replace(GOOD, up=90))]},
            "conversion, healthy sample, none, fixed horizon: false positives",
        ),
        ({"performances": [replace(DEFAULT, power=0.7)]}, "the default: error or power"),
        (
            {"late": [Late(7.0, 0.06)]},
            "outcomes that take 7 days: the default rule's false positives",
        ),
        (
            {"together": [Together("a goal", "alike", (Check("Holm", 30, 100, 0.0, 0.05),))]},
            "50 metrics, a goal, alike: Holm",
        ),
    ],
)
def test_whatever_is_broken_is_named_at_the_top(changed: dict[str, object], line: str) -> None:
    calibration = replace(CALIBRATION, **changed)  # type: ignore[arg-type]  # fields of any type
    assert calibration.broken == [line]
    page = write_page(calibration)
    assert f"## Promises that were not kept\n\n- {line}\n" in page


def test_a_second_try_is_marked() -> None:
    page = write_page(replace(CALIBRATION, rows=[replace(ROW, is_second=True)]))
    assert "| yes 2nd |" in page


def test_the_committed_page_has_every_scenario() -> None:
    page = COMMITTED.read_text()
    for scenario in SCENARIOS:
        label = METRICS[scenario.kind].label.partition(" (")[0]
        assert f"### {label}: {scenario.name}\n" in page


@pytest.mark.slow
def test_the_command_writes_the_page_and_fails_while_a_promise_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "calibration.md"
    status = main(["--runs", "2", "--seed", "5", "--write", str(page)])
    said = capsys.readouterr().out.splitlines()
    assert status == (1 if any(line.startswith("not kept") for line in said) else 0)
    assert "`--runs 2 --seed 5`" in page.read_text()
    for line in said[:-1]:
        assert f"- {line.removeprefix('not kept: ')}\n" in page.read_text()
