"""Installs other people's clients, each set apart from our own packages, at fixed versions."""

import hashlib
import json
import subprocess
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

OPENFEATURE = ("openfeature-provider-ofrep==0.3.0", "openfeature-sdk==0.10.0")
SCHEMATHESIS = ("schemathesis==4.32.5",)
OPENFEATURE_JS = {"@openfeature/ofrep-provider": "0.1.3", "@openfeature/server-sdk": "1.23.0"}

# What was installed is used again by the next run.
INSTALLED = Path(tempfile.gettempdir()) / "offerlab-conformance"


def install_python(packages: Sequence[str]) -> Path:
    """Install Python packages into an environment of their own, and return its `bin`."""
    directory = _directory(packages)
    done = directory / "installed"
    if not done.exists():
        print(f"Installing {', '.join(packages)} ...")
        venv.create(directory, with_pip=True, clear=True)
        python = str(directory / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        done.touch()
    return directory / "bin"


def install_node(packages: Mapping[str, str]) -> Path:
    """Install npm packages into a directory of their own, and return it."""
    directory = _directory([f"{name}@{version}" for name, version in packages.items()])
    done = directory / "installed"
    if not done.exists():
        print(f"Installing {', '.join(packages)} ...")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "package.json").write_text(json.dumps({"dependencies": dict(packages)}))
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund"],  # noqa: S607 - as on the path
            cwd=directory,
            check=True,
        )
        done.touch()
    return directory


def _directory(packages: Sequence[str]) -> Path:
    return INSTALLED / hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
