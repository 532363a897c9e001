"""Count the customers to whom a client gives another arm than the server's own evaluation.

    python -m benchmarks.parity [CUSTOMERS]

Starts its own throwaway PostgreSQL and Valkey and one server process, with twenty experiments that
have traffic shares, exclusion groups, audiences, prerequisites and hold-outs, are paused, halted
and shipped; then asks for 10,000 customers through every client. The clients are installed from
PyPI and npm, unmodified, into `.data/clients`. The bar: no client differs anywhere.
"""

import sys
import time
from collections.abc import Iterator, Sequence

from benchmarks.parity.clients import CLIENTS, ask, install, to_question
from benchmarks.parity.world import Answers, draw_customers, evaluate_all, read_running, set_up
from benchmarks.serving import services, serving

CUSTOMERS = 10_000
SHOWN = 3


def differences(
    expected: Answers, actual: Answers, experiments: Sequence[str]
) -> Iterator[tuple[int, str]]:
    """Tell, by the customer's number, what a client answered otherwise."""
    pairs = zip(expected.arms, actual.arms, expected.exposures, actual.exposures, strict=True)
    for number, (arms, given, exposures, told) in enumerate(pairs):
        for key, arm, other in zip(experiments, arms, given, strict=True):
            if arm != other:
                yield number, f"{key}: {other} instead of {arm}"
        for key, arm in sorted(exposures ^ told):
            missing = (key, arm) in exposures
            yield number, f"exposure to {key}/{arm} is {'missing' if missing else 'too many'}"


def compare(count: int) -> dict[str, int]:
    """Ask for so many customers through every client; return how often each differs."""
    install()
    found: dict[str, int] = {}
    with services() as environment:
        key = set_up(environment)
        running = read_running(environment)
        customers = draw_customers(count)
        expected = evaluate_all(running, customers)
        given = sum(arm is not None for arms in expected.arms for arm in arms)
        print(
            f"{len(customers):,} customers x {len(running)} experiments: {given:,} arms given, "
            f"{sum(map(len, expected.exposures)):,} exposures"
        )
        with serving(environment) as site:
            question = to_question(site.url, key, list(running), customers)
            for client in CLIENTS:
                begun = time.perf_counter()
                answers = ask(client, question)
                seconds = time.perf_counter() - begun
                wrong = list(differences(expected, answers, list(running)))
                found[client.name] = len(wrong)
                print(f"{client.name:<32} {len(wrong):>6} mismatches   {seconds:6.1f} s")
                for number, said in wrong[:SHOWN]:
                    print(f"    {customers[number].id}: {said}")
    return found


def main() -> None:
    """Compare, and fail if anything differs."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CUSTOMERS
    if any(compare(count).values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
