"""The SDKs that draw offers, unmodified, and what they are asked.

A client is a program that reads a question and writes answers, both JSON files:

    question: {"url", "reading", "writing", "campaign", "at", "customers": [{"id", "attributes"}]}
    answers: {"offers": [key or null], "views": [{"customer", "said"}]}

It evaluates the campaign's feature for every customer, and sends who they are and each view that
its tracking callback is told of, as `Experiment Viewed` events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import clients
from benchmarks.parity.clients import NODE, PYTHON

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


def ask(client: Client, question: Mapping[str, Any]) -> Answers:
    """Run a client, with the very SDKs of the parity benchmark."""
    answers = clients.ask(HERE / client.program, question, python=PYTHON, node=NODE)
    views = [(view["customer"], view["said"]) for view in answers["views"]]
    return Answers(answers["offers"], views)
