"""The clients that are compared, each unmodified and in an environment of its own.

A client is a program that reads a question and writes answers, both JSON files named on its command
line before whatever else it takes:

    question: {"url", "key", "experiments": [key], "customers": [{"id", "attributes"}]}
    answers: {"arms": [[arm or null]], "exposures": [[[experiment, arm]]]}, by customer

To add one, write its program, name its package in `requirements.txt` or `package.json`, and add a
line to `CLIENTS`.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.parity.world import Answers, Customer

HERE = Path(__file__).resolve().parent
# What is installed stays here, so that a second run is quick.
HOME = HERE.parent.parent / ".data" / "parity"


@dataclass(frozen=True, slots=True)
class Client:
    """A client with its name for people, its program, and what else the program is told."""

    name: str
    program: str
    arguments: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """Return how to run it."""
        is_python = self.program.endswith(".py")
        interpreter = str(HOME / "venv" / "bin" / "python") if is_python else "node"
        return [interpreter, str(HOME / self.program)]


CLIENTS = (
    Client("GrowthBook, Python", "growthbook_python.py", ("local",)),
    Client("GrowthBook, Python, remote", "growthbook_python.py", ("remote",)),
    Client("GrowthBook, JavaScript", "growthbook_javascript.mjs", ("local",)),
    Client("GrowthBook, JavaScript, remote", "growthbook_javascript.mjs", ("remote",)),
)


def install() -> None:
    """Install the clients' packages, unless these very ones are."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("This benchmark needs Node 20 with npm: https://nodejs.org")
    HOME.mkdir(parents=True, exist_ok=True)
    # Node looks for packages beside the program, so the programs go where those are.
    for program in {client.program for client in CLIENTS}:
        shutil.copy(HERE / program, HOME / program)
    wanted = [HERE / "requirements.txt", HERE / "package.json"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in wanted)).hexdigest()
    done = HOME / "installed"
    if done.exists() and done.read_text() == digest:
        return
    venv.create(HOME / "venv", with_pip=True, clear=True)
    pip = [str(HOME / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "-r", str(wanted[0])], check=True)
    shutil.copy(wanted[1], HOME / "package.json")
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund"], cwd=HOME, check=True)
    done.write_text(digest)


def ask(client: Client, question: Mapping[str, Any]) -> Answers:
    """Run a client."""
    asked, answered = HOME / "question.json", HOME / "answers.json"
    asked.write_text(json.dumps(question))
    answered.unlink(missing_ok=True)
    command = [*client.command(), str(asked), str(answered), *client.arguments]
    subprocess.run(command, check=True, stdout=sys.stderr)
    answers = json.loads(answered.read_text())
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
