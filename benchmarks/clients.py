"""Installs other people's clients, unmodified and at fixed versions, and runs programs with them.

Each set of packages has an environment of its own, apart from ours, which the next run uses again.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = ROOT / ".data" / "clients"


def install_python(packages: Sequence[str], *, within: Path = INSTALLED) -> Path:
    """Install Python packages, and return the `bin` of their environment.

    Raises:
        subprocess.CalledProcessError: They cannot be fetched.
    """
    directory = _directory(packages, within)
    done = directory / "installed"
    if not done.exists():
        print(f"Installing {', '.join(packages)} ...", file=sys.stderr)
        venv.create(directory, with_pip=True, clear=True)
        python = str(directory / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        done.touch()
    return directory / "bin"


def install_node(packages: Mapping[str, str], *, within: Path = INSTALLED) -> Path:
    """Install npm packages by their versions, and return the directory that has them.

    Raises:
        subprocess.CalledProcessError: They cannot be fetched.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("This benchmark needs Node 20 with npm: https://nodejs.org")
    directory = _directory([f"{name}@{version}" for name, version in packages.items()], within)
    done = directory / "installed"
    if not done.exists():
        print(f"Installing {', '.join(packages)} ...", file=sys.stderr)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "package.json").write_text(json.dumps({"dependencies": dict(packages)}))
        command = [npm, "install", "--silent", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=directory, check=True)
        done.touch()
    return directory


def ask(
    program: Path,
    question: Mapping[str, Any],
    *arguments: str,
    python: Sequence[str],
    node: Mapping[str, str],
) -> Any:
    """Run a program that reads a question and writes answers; return these.

    Both are JSON files, named on its command line before the arguments.

    Args:
        program: In Python or JavaScript.
        question: What it is asked.
        arguments: What else it is told.
        python: The packages that it needs in the one case.
        node: Those in the other, with their versions.
    """
    with tempfile.TemporaryDirectory(prefix="offerlab-client-") as directory:
        asked, answered = Path(directory) / "question.json", Path(directory) / "answers.json"
        asked.write_text(json.dumps(question))
        if program.suffix == ".py":
            command = [str(install_python(python) / "python"), str(program)]
        else:
            # Node looks for packages beside the program.
            beside = install_node(node) / f"{program.parent.name}_{program.name}"
            command = ["node", str(shutil.copy(program, beside))]
        subprocess.run(
            [*command, str(asked), str(answered), *arguments], check=True, stdout=sys.stderr
        )
        return json.loads(answered.read_text())


def _directory(packages: Sequence[str], within: Path) -> Path:
    return within / hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
