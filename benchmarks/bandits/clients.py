"""The SDKs that draw offers, unmodified, and what they are asked.

A client is a program that reads a question and writes answers, both JSON files:

    question: {"url", "reading", "writing", "campaign", "at", "customers": [{"id", "attributes"}]}
    answers: {"offers": [key or null], "views": [{"customer", "said"}]}

It evaluates the campaign's feature for every customer, and sends who they are and each view that
its tracking callback is told of, as `Experiment Viewed` events.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.parity.clients import HOME, install

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Client:
    """An SDK: its name for people, the prefix of its customers' keys, and its program."""

    name: str
    prefix: str
    program: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What a client gave each customer, in their order, and what it told of whom."""

    offers: Sequence[str | None]
    views: Sequence[tuple[str, Mapping[str, Any]]]


CLIENTS = (
    Client("GrowthBook, Python", "p", "growthbook_python.py"),
    Client("GrowthBook, JavaScript", "j", "growthbook_javascript.mjs"),
)


def prepare() -> None:
    """Install the SDKs, the very ones of the parity benchmark, and put the programs beside them."""
    install()
    for client in CLIENTS:
        shutil.copy(HERE / client.program, _place_of(client))


def ask(client: Client, question: Mapping[str, Any]) -> Answers:
    """Run a client."""
    asked, answered = HOME / "question.json", HOME / "answers.json"
    asked.write_text(json.dumps(question))
    answered.unlink(missing_ok=True)
    interpreter = "node" if client.program.endswith(".mjs") else str(HOME / "venv/bin/python")
    command = [interpreter, str(_place_of(client)), str(asked), str(answered)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    answers = json.loads(answered.read_text())
    views = [(view["customer"], view["said"]) for view in answers["views"]]
    return Answers(answers["offers"], views)


def _place_of(client: Client) -> Path:
    return HOME / f"bandits_{client.program}"
