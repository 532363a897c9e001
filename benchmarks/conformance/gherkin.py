"""OpenFeature's own examples, through the provider that they publish for Python."""

import json
import subprocess

from benchmarks.clients import install_python
from benchmarks.conformance.site import SPECS, serving
from benchmarks.serving import ROOT

OPENFEATURE = ("openfeature-provider-ofrep==0.3.0", "openfeature-sdk==0.10.0")
SETUP = f"""
from pathlib import Path
from benchmarks.conformance.flags import seed_flags
seed_flags(Path({str(SPECS / "test-flags.json")!r}))
"""
FEATURES = ("evaluation_v2.feature", "metadata.feature")
# Failures that are not the server's, or that we know of, and why.
KNOWN = {
    "Type mismatch error: boolean-flag as Integer": "to Python, true is an integer",
}


def main() -> bool:
    """Run all examples that say something about a server; return whether all went as expected."""
    python = install_python(OPENFEATURE) / "python"
    with serving(SETUP) as site:
        features = [str(SPECS / name) for name in FEATURES]
        ran = subprocess.run(
            [python, "-m", "tests.conformance.provider", site.address, site.key, *features],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    results: dict[str, str] = json.loads(ran.stdout)
    failed = {name: why for name, why in results.items() if why}
    for name, why in failed.items():
        print(f"FAILED {name}\n       {why}\n       {KNOWN.get(name, 'not expected')}")
    print(f"{len(results) - len(failed)} of {len(results)} examples pass.")
    return set(failed) <= set(KNOWN)
