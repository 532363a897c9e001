"""The command reads JSON, prints JSON, and needs no database: no test here asks for one."""

import io
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from experiments.management.commands.stats import Command

README = Path(__file__).parents[3] / "README.md"
DOCUMENT = (
    '{"comparisons": [{"label": "Größe", "control": {"customers": 100, "converted": 10}, '
    '"treatment": {"customers": 100, "converted": 25}}]}'
)
Type = Callable[[bytes], None]


class Standard:
    """Standard input, of which only the bytes are read."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Type:
    return lambda content: monkeypatch.setattr("sys.stdin", Standard(content))


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("stats", *arguments, stdout=out)
    return out.getvalue()


def test_standard_input_is_answered_on_one_line(type_in: Type) -> None:
    type_in(DOCUMENT.encode())
    (line,) = run().splitlines()
    (comparison,) = json.loads(line)["comparisons"]
    assert comparison["label"] == "Größe"
    assert comparison["result"]["difference"] == pytest.approx(0.15)


def test_a_file_is_answered_as_standard_input_is(type_in: Type, tmp_path: Path) -> None:
    type_in(DOCUMENT.encode())
    path = tmp_path / "numbers.json"
    path.write_text(DOCUMENT)
    assert run(str(path)) == run()


def test_indented_answers_are_the_same_answers(type_in: Type, tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    path.write_text(DOCUMENT)
    pretty = run(str(path), "--indent", "4")
    assert pretty.startswith('{\n    "confidence": 0.95,')
    assert json.loads(pretty) == json.loads(run(str(path)))


def test_the_oracle_stands_beside_each_result(type_in: Type) -> None:
    type_in(DOCUMENT.encode())
    (comparison,) = json.loads(run("--oracle"))["comparisons"]
    result, said = comparison["result"], comparison["oracle"]
    assert said["p_value"] == pytest.approx(result["p_value"], rel=1e-9)
    assert said["said_by"]["p_value"] == "statsmodels proportions_ztest"


def test_a_bad_field_is_named(type_in: Type) -> None:
    type_in(DOCUMENT.replace("25", "250").encode())
    with pytest.raises(CommandError) as refusal:
        run()
    assert str(refusal.value) == (
        "250 of 100 customers cannot have converted - at `$.comparisons[0].treatment`."
    )
    assert refusal.value.returncode == 1


def test_numbers_without_a_finite_answer_are_named(type_in: Type) -> None:
    type_in(
        b'{"comparisons": [{"control": {"n": 9, "mean": 1e-300, "variance": 0}, '
        b'"treatment": {"n": 9, "mean": 1e100, "variance": 1}}]}'
    )
    with pytest.raises(CommandError, match=r"too large or too small .* at `\$.comparisons\[0\]`"):
        run()


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    with pytest.raises(CommandError, match=r"numbers.json cannot be read: No such file"):
        run(str(path))


def test_an_absurd_indent_is_refused() -> None:
    with pytest.raises(CommandError, match="invalid choice"):
        run("--indent", "-1")


def test_no_system_check_runs_first() -> None:
    # Some of them ask the database.
    assert Command.requires_system_checks == []
    assert Command.requires_migrations_checks is False


def test_the_readmes_example_prints_what_the_readme_says(type_in: Type) -> None:
    section = README.read_text().split("## Check a number\n")[1].split("\n## ")[0]
    command, printed = indented_blocks(section)
    echo, document, pipe, python, manage, name, *options = shlex.split(command)
    assert [echo, pipe, python, manage] == ["echo", "|", ".venv/bin/python", "manage.py"]
    type_in(document.encode())
    out = io.StringIO()
    call_command(name, *options, stdout=out)
    assert layout(out.getvalue()) == layout(printed)
    # The last digits are the processor's.
    pairs = zip(leaves(json.loads(out.getvalue())), leaves(json.loads(printed)), strict=True)
    for ours, theirs in pairs:
        assert ours == (pytest.approx(theirs, rel=1e-9) if isinstance(theirs, float) else theirs)


def indented_blocks(markdown: str) -> list[str]:
    """Find the blocks that are indented by four spaces, without the indent."""
    blocks: list[list[str]] = []
    was_code = False
    for line in markdown.splitlines():
        is_code = line.startswith("    ")
        if is_code and not was_code:
            blocks.append([])
        if is_code:
            blocks[-1].append(line[4:])
        was_code = is_code
    return ["\n".join(block) for block in blocks]


def layout(printed: str) -> list[str]:
    """What stands on each line, but for a value at its end."""
    return [line.partition(": ")[0] for line in printed.splitlines()]


def leaves(value: Any) -> list[Any]:
    """Every plain value of a JSON document, in order."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]
