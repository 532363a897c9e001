"""Asks for flags by OpenFeature's provider for Python: `ADDRESS KEY ASKED TOLD`.

It is run by a Python that has that provider, and nothing of ours.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from openfeature.contrib.provider.ofrep import OFREPProvider  # type: ignore[import-not-found]
from openfeature.evaluation_context import EvaluationContext  # type: ignore[import-not-found]

THREADS = 8
# What no experiment gives, so that a default is seen for what it is.
DEFAULTS: dict[str, Any] = {
    "boolean": False,
    "string": "(default)",
    "integer": -1,
    "float": -1.0,
    "object": {"default": True},
}


def main() -> None:
    """Ask every line of a file, and write what was told."""
    address, key, asked, told = sys.argv[1:]
    headers = {"Authorization": f"Bearer {key}"}
    own = threading.local()

    def ask(line: str) -> str:
        # A provider keeps one connection, which threads cannot share.
        if not hasattr(own, "provider"):
            own.provider = OFREPProvider(address, headers_factory=lambda: headers)
        question = json.loads(line)
        kind = question["kind"]
        context = EvaluationContext(question["customer"], question["attributes"])
        resolve = getattr(own.provider, f"resolve_{kind}_details")
        details = resolve(question["key"], DEFAULTS[kind], context)
        answer = {
            "key": question["key"],
            "value": details.value,
            "variant": details.variant,
            "metadata": details.flag_metadata,
        }
        return json.dumps(answer)

    with (
        Path(asked).open() as lines,
        Path(told).open("w") as file,
        ThreadPoolExecutor(THREADS) as threads,
    ):
        file.writelines(f"{answer}\n" for answer in threads.map(ask, lines))


if __name__ == "__main__":
    main()
