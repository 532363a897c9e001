"""Reads examples out of Gherkin files, as far as OpenFeature's suite uses the language."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# They need a provider in some state, or look into the SDK: no server can pass or fail them.
OF_THE_SDK = {
    "Provider not ready error",
    "Provider in fatal state error",
    "CACHED reason",
    "Provider status accessibility",
    "Evaluation options with hooks",
    "Evaluation context immutability",
    "Asynchronous flag evaluation",
}

Table = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a scenario: its steps, each with the table below it."""

    scenario: str
    steps: list[tuple[str, Table]]

    @property
    def is_of_a_server(self) -> bool:
        """Whether a server can pass or fail it."""
        return self.scenario not in OF_THE_SDK


def read_examples(path: Path) -> Iterator[Example]:
    """Read all examples of a file, with the values of their outlines put in."""
    for block in re.split(r"\n\s*Scenario(?: Outline)?:", path.read_text())[1:]:
        name, _, rest = block.partition("\n")
        steps: list[tuple[str, Table]] = []
        examples: list[Table] = []
        rows: Table | None = None
        header: list[str] = []
        for line in map(str.strip, rest.splitlines()):
            if line.startswith("Examples:"):
                rows, header = [], []
                examples.append(rows)
            elif match := re.match(r"(?:Given|When|Then|And) (.*)", line):
                rows, header = [], []
                steps.append((match[1], rows))
            elif line.startswith("|") and rows is not None:
                cells = _cells(line)
                if header:
                    rows.append(dict(zip(header, cells, strict=True)))
                else:
                    header = cells
        for values in [row for table in examples for row in table] if examples else [{}]:
            yield Example(name.strip(), [(_put(step, values), table) for step, table in steps])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _put(step: str, values: Mapping[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda found: values[found[1]], step).replace('\\"', '"')
