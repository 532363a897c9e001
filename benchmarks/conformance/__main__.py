"""Run what others judge us by, against a real server on loopback.

python -m benchmarks.conformance gherkin        OpenFeature's examples
python -m benchmarks.conformance schemathesis   requests made from the OpenAPI documents
python -m benchmarks.conformance parity         arms through OpenFeature's providers and by us

Each installs the clients that it needs, at fixed versions, apart from our own packages.
"""

import argparse
import sys

from benchmarks.conformance import fuzzing, gherkin, parity


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["gherkin", "schemathesis", "parity"])
    parser.add_argument("--customers", type=int, default=10_000, help="of parity")
    asked = parser.parse_args()
    if asked.what == "gherkin":
        is_passed = gherkin.main()
    elif asked.what == "schemathesis":
        is_passed = fuzzing.main()
    else:
        is_passed = parity.main(customers=asked.customers)
    sys.exit(0 if is_passed else 1)


if __name__ == "__main__":
    main()
