"""Install the client libraries, each by its own package manager, and send through them."""

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.clients import install_node, install_python

HERE = Path(__file__).resolve().parent
PYTHON_LIBRARY = ("segment-analytics-python==2.4.0",)
NODE_LIBRARY = {"@segment/analytics-node": "3.1.0"}
REPEAT_EVERY = 40
LONGEST_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Sender:
    """One process that sends numbered events through one library."""

    name: str
    language: str
    key: str
    host: str
    events: int
    gzip: bool

    @property
    def message_ids(self) -> set[str]:
        """The ids of all that it sends, some of it twice."""
        return {f"{self.name}-{number}" for number in range(self.events)}


class Libraries:
    """The client libraries, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        """Keep the directory; nothing is installed yet."""
        self._directory = directory

    @property
    def languages(self) -> list[str]:
        """The languages whose libraries can be had on this machine."""
        return ["python", *(["node"] if shutil.which("npm") else [])]

    def install(self, language: str) -> Path:
        """Install a library, unless it is there; return where.

        Raises:
            subprocess.CalledProcessError: It cannot be fetched.
        """
        if language == "python":
            return install_python(PYTHON_LIBRARY, within=self._directory)
        return install_node(NODE_LIBRARY, within=self._directory)

    def start(self, sender: Sender) -> "subprocess.Popen[str]":
        """Start sending; standard output tells at the end what the library gave up on."""
        plan = json.dumps({**asdict(sender), "repeat_every": REPEAT_EVERY})
        library = self.install(sender.language)
        if sender.language == "python":
            command = [str(library / "python"), str(HERE / "send.py"), plan]
        else:
            command = ["node", str(HERE / "send.mjs"), str(library), plan]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> list[str]:
    """Wait until a sender is done; return what its library gave up on."""
    output, _ = process.communicate(timeout=LONGEST_SECONDS)
    if process.returncode != 0:
        return [f"the sender ended with {process.returncode}"]
    failed: list[str] = json.loads(output)["failed"]
    return failed
