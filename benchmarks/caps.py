"""Gives out a scarce offer and a budget to many clients at once, and counts to the last one.

    python -m benchmarks.caps [decisions]

64 clients with connections of their own ask a real site, for 200,000 decisions in slates of five,
while one offer may be given out 5,000 times and one campaign may spend 1,000.00 at 0.37 each. Then
the database is asked how often and for how much that was.
"""

import http.client
import json
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg

from benchmarks.serving import HOST, Site, run_in_shell, services, serving

CLIENTS = 64
SLATE = 5
CAP = 5_000
BUDGET_CENTS, COST_CENTS = 100_000, 37
SETUP = f"""
from audience.models import Scope
from audience.sources.keys import create_source
from campaigns.lifecycle.drafting import CampaignPlan, Split, add_offers, draft_campaign
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Cap, Offer, Placement
from django.utils import timezone
from experiments.models import Metric

goal = Metric.objects.create(
    key="c", name="Conversion", kind="conversion", params={{"event": "Order Completed"}})
placement = Placement.objects.create(key="home", name="Home")
campaign = draft_campaign(CampaignPlan(
    key="bench", name="Bench", placement=placement, goal=goal, planned_customers=1000,
    split=Split(1, 20), budget_cents={BUDGET_CENTS}))
offers = [Offer.objects.create(key=f"free{{i}}", name=f"Free {{i}}") for i in range(5)]
scarce = Offer.objects.create(key="scarce", name="Scarce")
Cap.objects.create(offer=scarce, limit={CAP}, is_per_customer=False, window="ever")
dear = Offer.objects.create(key="dear", name="Dear", cost_cents={COST_CENTS})
add_offers(campaign, [*offers, scarce, dear])
start_campaign(campaign, by=None, now=timezone.now())
print("KEY=" + create_source("caps", scopes=[Scope.DECIDE])[1])
"""


class Clients:
    """Many clients that ask for customers one after the other, each customer once."""

    def __init__(self, site: Site, key: str, requests: int) -> None:
        """Ask this site so often in all."""
        self._site = site
        self._headers = {
            "Authorization": "Basic " + b64encode(f"{key}:".encode()).decode(),
            "Content-Type": "application/json",
        }
        self._left = iter(range(requests))
        self._lock = threading.Lock()
        self.statuses: Counter[int] = Counter()
        self.unlogged = 0

    def ask(self) -> None:
        """Ask until all was asked."""
        connection = http.client.HTTPConnection(HOST, self._site.port, timeout=60)
        while (number := self._next()) is not None:
            place = {"key": "home", "count": SLATE}
            body = json.dumps({"customer": f"customer-{number}", "placements": [place]})
            connection.request("POST", "/api/v1/decide", body, self._headers)
            response = connection.getresponse()
            said = json.loads(response.read())
            with self._lock:
                self.statuses[response.status] += 1
                self.unlogged += response.status != 200 or not said["logged"]
        connection.close()

    def _next(self) -> int | None:
        with self._lock:
            return next(self._left, None)


def main() -> int:
    """Ask, count and say whether every limit held."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with services() as environment:
        printed = run_in_shell(environment, SETUP)
        key = next(line[4:] for line in printed.splitlines() if line.startswith("KEY="))
        with serving(environment) as site:
            clients = Clients(site, key, wanted // SLATE)
            began = time.perf_counter()
            with ThreadPoolExecutor(CLIENTS) as threads:
                for asking in [threads.submit(clients.ask) for _ in range(CLIENTS)]:
                    asking.result()
            seconds = time.perf_counter() - began
        with psycopg.connect(environment["DATABASE_URL"]) as connection:
            rows = connection.execute(
                "SELECT COALESCE(offer, ''), count(*) FROM recommender_decision GROUP BY 1"
            ).fetchall()
    counts: dict[str, int] = dict(rows)
    spent = COST_CENTS * counts.get("dear", 0)
    print(
        f"{sum(counts.values()):,} decisions by {CLIENTS} clients in {seconds:.0f} s; "
        f"answers: {dict(clients.statuses)}, not logged: {clients.unlogged}"
    )
    print(f"scarce offer: given out {counts.get('scarce', 0):,} times, of {CAP:,}")
    print(
        f"budget: spent {spent / 100:,.2f} of {BUDGET_CENTS / 100:,.2f}, at {COST_CENTS} cents each"
    )
    is_exact = counts.get("scarce") == CAP
    is_within = BUDGET_CENTS - COST_CENTS < spent <= BUDGET_CENTS
    return 0 if is_exact and is_within and not clients.unlogged else 1


if __name__ == "__main__":
    sys.exit(main())
