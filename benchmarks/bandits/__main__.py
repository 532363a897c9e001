"""Let unmodified SDKs draw a campaign's offers, and see what comes back.

    python -m benchmarks.bandits [CUSTOMERS]

Starts its own throwaway PostgreSQL and Valkey and one server process, with a campaign whose policy
has known leaves; asks for 10,000 customers through each SDK, which sends the views that its
tracking callback is told of; and lets customers order by a known chance. The bar: every view of the
bandit is logged with the offer that was shown, the policy's version, and exactly the weights of the
customer's leaf; and inverse propensity scoring finds the value of another policy, which is known
here, within two standard errors.
"""

import base64
import json
import random
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from benchmarks.bandits.clients import CLIENTS, Answers, ask
from benchmarks.bandits.judging import is_right, judge_target, read_log
from benchmarks.bandits.world import (
    CAMPAIGN,
    SEED,
    SETUP,
    WINDOW_SECONDS,
    Customer,
    chance_of_order,
    draw_customers,
)
from benchmarks.parity.clients import install
from benchmarks.serving import Site, run_in_shell, services, serving

CUSTOMERS = 10_000
SENT_TOGETHER = 1000
SETTLE = "from recommender.tasks import learn_due; print(learn_due())"
BAR = 2.0


def compare(count: int) -> bool:
    """Ask for so many customers through every SDK; say whether the bar is met."""
    install()
    is_met = True
    everybody: list[Customer] = []
    with services() as environment:
        reading, writing = run_in_shell(environment, SETUP).split("KEYS=")[1].split()
        answered: list[tuple[Sequence[Customer], Answers]] = []
        with serving(environment) as site:
            for client in CLIENTS:
                customers = draw_customers(count, client.prefix)
                at = datetime.now(UTC)
                question = {
                    "url": site.url,
                    "reading": reading,
                    "writing": writing,
                    "campaign": CAMPAIGN,
                    "at": at.isoformat(),
                    "customers": [asdict(customer) for customer in customers],
                }
                answers = ask(client, question)
                send_orders(site, writing, customers, answers, at=at + timedelta(seconds=1))
                answered.append((customers, answers))
                everybody += customers
        time.sleep(WINDOW_SECONDS + 4)
        settled = run_in_shell(environment, SETTLE).split()[-1]
        log = read_log(environment["DATABASE_URL"])
    print(f"{len(log.leaves.leaves)} leaves keep {log.leaves.worth.kept:.1%} of the policy's gain")
    for client, (asked_for, answers) in zip(CLIENTS, answered, strict=True):
        shown = dict(zip((c.id for c in asked_for), answers.offers, strict=True))
        drawn = {who for who, said in answers.views if said.get("leafId") is not None}
        views = [customer for customer in asked_for if customer.id in drawn]
        right = sum(is_right(log, customer, shown[customer.id]) for customer in views)
        is_met &= right == len(views) > 0
        share = f"{right / len(views):.2%}" if views else "none"
        print(f"{client.name:<24} {right:,} of {len(views):,} bandit views logged right ({share})")
    judged = judge_target(log, everybody)
    print(
        f"{log.n_exposures:,} of {len(everybody):,} customers met an arm; {log.n_decisions:,} "
        f"decisions by leaves, {log.n_refused} events refused, {settled} rewards settled"
    )
    is_met &= log.n_exposures == len(everybody) and log.n_refused == 0
    print(
        f"IPS of a known policy: {judged.estimate:.4f} ± {judged.standard_error:.4f} (s.e., "
        f"n = {judged.n:,}); truth {judged.truth:.4f}: {judged.z:+.2f} standard errors"
    )
    return is_met and abs(judged.z) <= BAR


def send_orders(
    site: Site, key: str, customers: Sequence[Customer], answers: Answers, *, at: datetime
) -> None:
    """Let customers order, by the chance that they have with the offer that they were shown."""
    rng = random.Random(f"{SEED}:{customers[0].id}:orders")  # noqa: S311 - nobody has to guess it
    orders = [
        {"type": "track", "event": "Order Completed", "userId": c.id, "timestamp": at.isoformat()}
        for c, offer in zip(customers, answers.offers, strict=True)
        if rng.random() < chance_of_order(c.attributes, offer)
    ]
    credentials = base64.b64encode(f"{key}:".encode()).decode()
    headers = {"authorization": f"Basic {credentials}", "content-type": "application/json"}
    for first in range(0, len(orders), SENT_TOGETHER):
        body = json.dumps({"batch": orders[first : first + SENT_TOGETHER]}).encode()
        request = urllib.request.Request(f"{site.url}/v1/batch", body, headers)
        urllib.request.urlopen(request).close()


def main() -> None:
    """Compare, and fail where the bar is missed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CUSTOMERS
    if not compare(count):
        raise SystemExit("The bar is missed.")


if __name__ == "__main__":
    main()
