"""Install the client libraries, each by its own package manager, and send through them."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON_LIBRARY = "segment-analytics-python==2.4.0"
NODE_LIBRARY = "@segment/analytics-node@3.1.0"
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
        self._python = directory / "python"
        self._node = directory / "node"

    @property
    def languages(self) -> list[str]:
        """The languages whose libraries can be had on this machine."""
        return ["python", *(["node"] if shutil.which("npm") else [])]

    def install(self, language: str) -> None:
        """Install a library, unless it is there.

        Raises:
            subprocess.CalledProcessError: It cannot be fetched.
        """
        if language == "python" and not (self._python / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", str(self._python)], check=True)
            pip = [str(self._python / "bin" / "pip"), "install", "--quiet", PYTHON_LIBRARY]
            subprocess.run(pip, check=True, capture_output=True)
            (self._python / "ready").touch()
        if language == "node" and not (self._node / "ready").exists():
            self._node.mkdir(parents=True, exist_ok=True)
            npm = ["npm", "install", "--silent", "--no-fund", "--prefix", ".", NODE_LIBRARY]
            subprocess.run(npm, cwd=self._node, check=True, capture_output=True)
            (self._node / "ready").touch()

    def start(self, sender: Sender) -> "subprocess.Popen[str]":
        """Start sending; standard output tells at the end what the library gave up on."""
        plan = json.dumps({**asdict(sender), "repeat_every": REPEAT_EVERY})
        if sender.language == "python":
            command = [str(self._python / "bin" / "python"), str(HERE / "send.py"), plan]
        else:
            command = ["node", str(HERE / "send.mjs"), str(self._node), plan]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> list[str]:
    """Wait until a sender is done; return what its library gave up on."""
    output, _ = process.communicate(timeout=LONGEST_SECONDS)
    if process.returncode != 0:
        return [f"the sender ended with {process.returncode}"]
    failed: list[str] = json.loads(output)["failed"]
    return failed
