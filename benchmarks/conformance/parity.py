"""The same arms through OpenFeature's providers for Python and JavaScript as by `evaluate`."""

import itertools
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.clients import install_node, install_python
from benchmarks.conformance.gherkin import OPENFEATURE
from benchmarks.conformance.site import Site, serving
from benchmarks.serving import ROOT

OPENFEATURE_JS = {"@openfeature/ofrep-provider": "0.1.3", "@openfeature/server-sdk": "1.23.0"}
SETUP = "from benchmarks.conformance.experiments import seed; seed()"
HERE = Path(__file__).resolve().parent
MOST_SHOWN = 10


def main(*, customers: int) -> bool:
    """Ask for every experiment and customer by both clients; return whether nothing differs."""
    python = install_python(OPENFEATURE) / "python"
    modules = install_node(OPENFEATURE_JS)
    with serving(SETUP) as site:
        clients: Mapping[str, Sequence[str]] = {
            "python": [str(python), str(HERE / "ask.py")],
            "node": ["node", str(HERE / "ask.mjs"), str(modules / "node_modules")],
        }
        # Customers of their own, because what one client met would be kept for the other.
        agreed = [_agree(site, name, command, customers) for name, command in clients.items()]
    return all(agreed)


def _agree(site: Site, name: str, command: Sequence[str], customers: int) -> bool:
    asked, told = site.directory / f"{name}.asked", site.directory / f"{name}.told"
    site.shell(
        "from benchmarks.conformance.experiments import write_expected;"
        f"write_expected({str(asked)!r}, prefix={name!r}, customers={customers})"
    )
    begun = time.perf_counter()
    subprocess.run([*command, site.address, site.key, str(asked), str(told)], cwd=ROOT, check=True)
    seconds = time.perf_counter() - begun
    pairs = list(itertools.zip_longest(_lines(asked), _lines(told)))
    wrong = [(expected, came) for expected, came in pairs if not _is_same(expected, came)]
    for expected, came in wrong[:MOST_SHOWN]:
        print(f"expected {expected}\ncame     {came}")
    arms = {expected["expected"]["arm"] for expected, _ in pairs}
    print(
        f"{name}: {len(wrong)} of {len(pairs):,} answers differ "
        f"({len(pairs) / seconds:,.0f} a second, arms {sorted(map(str, arms))})"
    )
    return not wrong


def _is_same(asked: Mapping[str, Any] | None, told: Mapping[str, Any] | None) -> bool:
    if asked is None or told is None:
        return False
    expected: Mapping[str, Any] = asked["expected"]
    metadata = told.get("metadata") or {}
    came = {"arm": metadata.get("arm"), "variant": told["variant"], "value": told["value"]}
    return bool(told["key"] == asked["key"] and came == expected)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        for line in file:
            yield json.loads(line)
