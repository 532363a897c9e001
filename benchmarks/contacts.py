"""What it costs a decision to look at what the customer was offered lately.

    python -m benchmarks.contacts

Two campaigns with the same five offers and nothing: one by the default bandit on two attributes,
one by the sequential one, which looks at contacts besides. 400 customers have 30 decisions of each
and ten orders. Batches of 20 of them are recalled, decided for, logged and committed by the desk's
own code, in turn for either campaign; the median of 200 batches each is told.
"""

from benchmarks.serving import run_in_shell, services

SCRIPT = """
import asyncio, secrets, statistics, time
from datetime import timedelta
from django.utils import timezone
from audience.customers.finding import Name
from audience.importing.copying import CustomerRow, EventRow, import_customers, import_events
from audience.keeping.partitions import make_partitions, month_of
from audience.models import Customer, Scope
from audience.sources.keys import create_source
from campaigns.deciding.desk import Batch, Visit
from campaigns.deciding.workbench import Workbench
from campaigns.lifecycle.drafting import (
    CampaignPlan, Split, add_offers, draft_campaign, find_nothing)
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Offer, Placement
from experiments.models import Metric
from recommender.decision_ids import RANDOM_BITS, decision_id, decision_partition
from recommender.decisions import Logged, copy_decisions
from recommender.weighing.features import CategoryFeature, FeatureSpec

now = timezone.now()
goal = Metric.objects.create(
    key="c", name="Conversion", kind="conversion", params={"event": "Order Completed"})
offers = [*(Offer.objects.create(key=f"o{i}", name=f"Offer {i}") for i in range(5)), find_nothing()]
features = FeatureSpec((CategoryFeature("plan", ("a", "b")),))
kinds = ("randomised_ucb", "sequential")
for kind in kinds:
    placement = Placement.objects.create(key=kind, name=kind)
    campaign = draft_campaign(CampaignPlan(
        key=kind, name=kind, placement=placement, goal=goal, planned_customers=1000,
        features=features, bandit=kind, hold_minutes=0, split=Split(1, 1)))
    add_offers(campaign, offers)
    start_campaign(campaign, by=None, now=now)
keys = [f"c{i}" for i in range(400)]
import_customers(CustomerRow(key, {"plan": "a"}) for key in keys)
source = create_source("bench", scopes=[Scope.DECIDE])[0]
import_events((EventRow(key, "Order Completed", now - timedelta(days=9 * n + 1),
                        secrets.token_hex(8), 20.0, {}) for key in keys for n in range(10)),
              source=source)
ids = dict(Customer.objects.values_list("external_key", "id"))
make_partitions([decision_partition(month_of(now - timedelta(days=d))) for d in (0, 31)])

def past(key, kind, day):
    at = now - timedelta(days=day, hours=1)
    return ids[key], Logged(
        id=decision_id(at, entropy=secrets.randbits(RANDOM_BITS)), decided_at=at, customer_key=key,
        campaign=kind, placement=kind, arm="personalised", policy_id=None, policy_version=None,
        offer=f"o{day % 5}", propensity=1.0, due_at=at)

with Workbench() as bench:
    async def fill():
        connection = await bench.connect(now=now)
        async with connection.transaction():
            await copy_decisions(
                connection,
                [past(key, kind, day) for key in keys for kind in kinds for day in range(30)])
        await connection.execute("ANALYZE")

    async def serve(kind, number):
        connection = await bench.connect(now=now)
        some = [keys[(20 * number + i) % len(keys)] for i in range(20)]
        batch = Batch(bench.snapshot, [Visit(Name(key), {kind: 1}, {}) for key in some],
                      timezone.now())
        began = time.perf_counter()
        async with connection.pipeline():
            await batch.serve(connection)
        return time.perf_counter() - began

    bench.runner.run(fill())
    bench.refresh()
    took = {kind: [] for kind in kinds}
    for number in range(220):
        for kind in kinds:
            took[kind].append(bench.runner.run(serve(kind, number)))
    medians = {kind: statistics.median(times[20:]) for kind, times in took.items()}
    for kind, seconds in medians.items():
        print(f"{kind:<16} {1e6 * seconds / 20:6.0f} microseconds a decision")
    print(f"sequential / default: {medians['sequential'] / medians['randomised_ucb']:.2f}")
"""


def main() -> None:
    """Start everything, measure, stop everything."""
    with services() as environment:
        print(run_in_shell(environment, SCRIPT))


if __name__ == "__main__":
    main()
