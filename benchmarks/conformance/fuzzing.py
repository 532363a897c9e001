"""Requests that nobody would think of, made from OFREP's OpenAPI document and from ours."""

import re
import subprocess
from pathlib import Path

from benchmarks.clients import install_python
from benchmarks.conformance.gherkin import SETUP
from benchmarks.conformance.site import SPECS, Site, serving

SCHEMATHESIS = ("schemathesis==4.32.5",)
LEAST_CASES = 2000
SEED = "1"
# No answer fits the schema of an evaluation in OFREP's own document: each value has to be of
# exactly one type, and the type without a value takes them all.
OFREP_CHECKS = "not_a_server_error,status_code_conformance"
OUR_CHECKS = f"{OFREP_CHECKS},response_schema_conformance"


def main() -> bool:
    """Send at least 2,000 requests by each document; return whether the server never failed."""
    command = install_python(SCHEMATHESIS) / "schemathesis"
    ofrep = str(SPECS / "ofrep-openapi-0.3.0.yaml")
    with serving(SETUP) as site:
        ours = f"{site.address}/api/openapi.json"
        # Examples are made for each operation, of which there are two and some thirty.
        passed = [
            _fuzz(command, site, ofrep, examples=1100, checks=OFREP_CHECKS),
            _fuzz(command, site, ours, examples=80, checks=OUR_CHECKS),
        ]
    return all(passed)


def _fuzz(command: Path, site: Site, document: str, *, examples: int, checks: str) -> bool:
    print(f"== {Path(document).name}")
    ran = subprocess.run(
        [
            command,
            "run",
            document,
            f"--url={site.address}",
            f"--header=Authorization: Bearer {site.key}",
            f"--checks={checks}",
            f"--max-examples={examples}",
            "--continue-on-failure",
            "--request-timeout=10",
            f"--seed={SEED}",
            "--no-color",
        ],
        cwd=site.directory,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    # What comes before says how it went on.
    print(re.split(r"=+ (?=FAILURES|WARNINGS|SUMMARY)", ran.stdout, maxsplit=1)[-1])
    cases = re.search(r"(\d+) generated", ran.stdout)
    return ran.returncode == 0 and cases is not None and int(cases[1]) >= LEAST_CASES
