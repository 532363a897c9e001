"""Runs examples through OpenFeature's provider: `ADDRESS KEY FEATURE...`.

It is run by a Python that has that provider and nothing of ours but `features.py`. It writes, as
JSON, what was wrong with each example; an empty text where nothing was.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from openfeature import api  # type: ignore[import-not-found]  # not among our packages
from openfeature.contrib.provider.ofrep import OFREPProvider  # type: ignore[import-not-found]
from openfeature.evaluation_context import EvaluationContext  # type: ignore[import-not-found]

from tests.conformance.features import Example, Table, read_examples

PARTS = {
    "resolved details value": "value",
    "reason": "reason",
    "error-code": "error_code",
    "flag key": "flag_key",
    "variant": "variant",
}


class Wrong(Exception):
    """An example went otherwise than it says."""


def to_value(kind: str, written: str) -> Any:
    """Read a value of a kind."""
    read: Mapping[str, Callable[[str], Any]] = {
        "Boolean": lambda text: text == "true",
        "String": str,
        "Integer": int,
        "Float": float,
        "Object": json.loads,
    }
    return read[kind](written)


class Run:
    """One example on its way."""

    def __init__(self, client: Any) -> None:
        """Nothing was done yet."""
        self.client = client
        self.kind, self.key, self.default = "", "", None
        self.attributes: dict[str, Any] = {}
        self.details: Any = None
        self._acts: Mapping[str, Callable[[re.Match[str], Table], None]] = {
            "a stable provider": self._nothing,
            r'an? (\w+)-flag with key "(.*?)" and a fallback value "(.*)"': self._flag,
            r'a context containing a key "(.*?)", with type "(.*?)" and with value "(.*)"': (
                self._attribute
            ),
            r'a context containing a key "(.*?)" with null value': self._no_attribute,
            "the flag was evaluated with details": self._evaluate,
            r'the (.+) should be "(.*)"': self._expect_part,
            "the resolved metadata should contain": self._expect_metadata,
            "the resolved metadata is empty": self._expect_no_metadata,
        }

    def step(self, step: str, table: Table) -> None:
        """Do one step.

        Raises:
            Wrong: It came out otherwise.
        """
        for pattern, act in self._acts.items():
            if found := re.fullmatch(pattern, step):
                act(found, table)
                return
        raise ValueError(f"unknown step: {step}")

    def _flag(self, found: re.Match[str], table: Table) -> None:
        self.kind, self.key = found[1], found[2]
        self.default = to_value(self.kind, found[3])

    def _attribute(self, found: re.Match[str], table: Table) -> None:
        self.attributes[found[1]] = to_value(found[2], found[3])

    def _no_attribute(self, found: re.Match[str], table: Table) -> None:
        self.attributes[found[1]] = None

    def _evaluate(self, found: re.Match[str], table: Table) -> None:
        evaluate = getattr(self.client, f"get_{self.kind.lower()}_details")
        context = EvaluationContext(attributes=self.attributes)
        self.details = evaluate(self.key, self.default, context)

    def _expect_part(self, found: re.Match[str], table: Table) -> None:
        self._expect(PARTS[found[1]], found[2])

    def _expect_no_metadata(self, found: re.Match[str], table: Table) -> None:
        if self.details.flag_metadata:
            raise Wrong(f"metadata {self.details.flag_metadata}")

    def _nothing(self, found: re.Match[str], table: Table) -> None:
        """The provider is ready."""

    def _expect(self, part: str, written: str) -> None:
        expected = to_value(self.kind, written) if part == "value" else written
        came = getattr(self.details, part)
        came = getattr(came, "value", came)
        if came != expected or (part == "value" and type(came) is not type(expected)):
            raise Wrong(f"{part} {came!r} instead of {expected!r}: {self.details}")

    def _expect_metadata(self, found: re.Match[str], table: Table) -> None:
        metadata: Mapping[str, Any] = self.details.flag_metadata
        for row in table:
            expected = to_value(row["metadata_type"], row["value"])
            if metadata.get(row["key"]) != expected:
                raise Wrong(f"metadata {metadata} without {row['key']} = {expected!r}")


def run(example: Example, client: Any) -> tuple[str, str]:
    """Run one example, and return its name and what was wrong with it."""
    one = Run(client)
    try:
        for step, table in example.steps:
            one.step(step, table)
        wrong = ""
    except Wrong as error:
        wrong = str(error)
    return f"{example.scenario}: {one.key} as {one.kind}", wrong


def main() -> None:
    """Run all examples of a server, and write what was wrong."""
    address, key, *paths = sys.argv[1:]
    headers = {"Authorization": f"Bearer {key}"}
    api.set_provider(OFREPProvider(address, headers_factory=lambda: headers))
    client = api.get_client()
    examples = [e for path in paths for e in read_examples(Path(path)) if e.is_of_a_server]
    results = [run(example, client) for example in examples]
    written = dict(results)
    if len(written) < len(results):
        raise ValueError("two examples have one name")
    sys.stdout.write(json.dumps(written))


if __name__ == "__main__":
    main()
