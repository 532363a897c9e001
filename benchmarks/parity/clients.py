"""The clients that are compared, each unmodified and in an environment of its own.

A client is a program that reads a question and writes answers, both JSON files named on its command
line before whatever else it takes:

    question: {"url", "key", "experiments": [key], "customers": [{"id", "attributes"}]}
    answers: {"arms": [[arm or null]], "exposures": [[[experiment, arm]]]}, by customer

To add one, write its program, name its package, and add a line to `CLIENTS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import clients
from benchmarks.parity.world import Answers, Customer

HERE = Path(__file__).resolve().parent
PYTHON = ("growthbook==4.0.0",)
NODE = {"@growthbook/growthbook": "1.8.0"}


@dataclass(frozen=True, slots=True)
class Client:
    """A client with its name for people, its program, and what else the program is told."""

    name: str
    program: str
    arguments: tuple[str, ...] = ()


CLIENTS = (
    Client("GrowthBook, Python", "growthbook_python.py", ("local",)),
    Client("GrowthBook, Python, remote", "growthbook_python.py", ("remote",)),
    Client("GrowthBook, JavaScript", "growthbook_javascript.mjs", ("local",)),
    Client("GrowthBook, JavaScript, remote", "growthbook_javascript.mjs", ("remote",)),
)


def install() -> None:
    """Install the clients' packages, so that no question waits for it."""
    clients.install_python(PYTHON)
    clients.install_node(NODE)


def ask(client: Client, question: Mapping[str, Any]) -> Answers:
    """Run a client."""
    answers = clients.ask(
        HERE / client.program, question, *client.arguments, python=PYTHON, node=NODE
    )
    exposures = [frozenset((e, arm) for e, arm in each) for each in answers["exposures"]]
    return Answers(answers["arms"], exposures)


def to_question(
    url: str, key: str, experiments: Sequence[str], customers: Sequence[Customer]
) -> dict[str, Any]:
    """Write what every client is asked."""
    return {
        "url": url,
        "key": key,
        "experiments": list(experiments),
        "customers": [asdict(customer) for customer in customers],
    }
