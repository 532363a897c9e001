"""Starts the whole site, filled with what is asked about, and thrown away afterwards."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import serving as sites
from benchmarks.serving import ROOT, run_in_shell, services

SPECS = ROOT.parent / "shared" / "specs" / "openfeature"


@dataclass(frozen=True, slots=True)
class Site:
    """A site that runs: where, with which key, and with what a process of ours has to know."""

    address: str
    key: str
    environment: Mapping[str, str]
    directory: Path

    def shell(self, code: str) -> str:
        """Run Python with our models, and return what it prints."""
        return run_in_shell(self.environment, code)


@contextmanager
def serving(setup: str) -> Iterator[Site]:
    """Fill a new site by Python code that uses our models, and serve it."""
    with (
        tempfile.TemporaryDirectory(prefix="offerlab-conformance-") as directory,
        services() as environment,
    ):
        key = run_in_shell(environment, f"{setup}\n{PRINT_KEY}").split("KEY=")[1].strip()
        with sites.serving(environment) as site:
            yield Site(site.url, key, environment, Path(directory))


PRINT_KEY = """
from audience.models import Kind, Scope
from audience.sources.keys import create_source
print("KEY=" + create_source("conformance", scopes=list(Scope), kind=Kind.ADMIN)[1])
"""
