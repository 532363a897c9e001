"""Requests a second and latency of deciding, against a bare endpoint of the same server.

    python -m benchmarks.decide

Starts a throwaway PostgreSQL and Valkey and one server process. The placement has 20 campaigns: 19
whose time has not come and one with 50 offers (then 500) and a policy of the default kind, of 32
features, that has learned. wrk sends requests for customers who were never seen before, so that
each one is made, recalled, weighed, drawn, logged and committed; and for one who holds an offer.
Two django-ninja endpoints do the same, which is installed beside the project for this alone: one as
people write them, by the ORM and in a transaction of each request, in threads behind WSGI, with the
configuration kept in memory; and one that asks the same desk, which shows what the framework alone
takes. Memory is that of the worker after all this.

The bars: decide at half the bare endpoint's throughput, ten times django-ninja's, p99 15 ms at 70%
load, 500 offers within twice the time of 50, at most 200 MB a worker.
"""

import json
import statistics
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

from benchmarks.serving import Load, Shot, Site, load, run_in_shell, services, serving

ROUNDS = 3
NINJA = "django-ninja==1.7.1"
THREADS = 32  # of the ordinary peer, as many as wrk has connections
# What customers tell of themselves: 32 features' worth.
CONTEXT = {"segment": "b", "device": "phone", **{f"n{i}": 31 + i for i in range(21)}}
SETUP = """
from datetime import timedelta
import numpy as np
from audience.models import Scope
from audience.sources.keys import create_source
from campaigns.lifecycle.drafting import CampaignPlan, add_offers, draft_campaign
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Offer, Placement
from django.utils import timezone
from experiments.models import Metric
from recommender.bandits import load_bandit
from recommender.models import PolicyVersion
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds

now = timezone.now()
goal = Metric.objects.create(
    key="c", name="Conversion", kind="conversion", params={"event": "Order Completed"})
features = FeatureSpec((
    CategoryFeature("segment", tuple("abcdefgh")),
    CategoryFeature("device", ("phone", "desktop")),
    *(NumberFeature(f"n{i}", 40.0, 12.0) for i in range(21)),
))
assert features.size == 32
rng = np.random.default_rng(1)
for size in (50, 500):
    offers = [Offer.objects.create(key=f"s{size}-o{i}", name=f"Offer {i}") for i in range(size)]
    placement = Placement.objects.create(key=f"home{size}", name="Home")
    for number in range(20):
        last = number == 19
        campaign = draft_campaign(CampaignPlan(
            key=f"bench{size}-{number}", name="Bench", placement=placement, goal=goal,
            planned_customers=1000, features=features, priority=number,
            starts_at=None if last else now + timedelta(days=1)))
        add_offers(campaign, offers if last else offers[:2])
        start_campaign(campaign, by=None, now=now)
    # What some ten thousand decisions an offer teach: a mean that differs, little doubt about it.
    odds = Odds(
        offers=tuple(o.key for o in offers), mean=rng.normal(0, 0.02, (size, 32)),
        factor=np.tile(0.01 * np.eye(32), (size, 1, 1)), floor=0.001, features=features, version=1,
        is_optimistic=load_bandit(campaign.policy.kind).is_optimistic)
    PolicyVersion.objects.create(
        policy=campaign.policy, number=1, odds=odds.to_bytes(), learned_from=10_000,
        published_at=now)
print("KEY=" + create_source("bench", scopes=[Scope.DECIDE])[1])
"""
# The same by the ORM, as an endpoint of django-ninja is mostly written.
ORDINARY = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from django.conf import settings
settings.ROOT_URLCONF = "benchmark_ordinary"
settings.MIDDLEWARE = []
settings.DATABASES["default"]["CONN_MAX_AGE"] = None
import secrets
from datetime import timedelta
from functools import cache
from typing import Any
import numpy as np
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.http import HttpResponse
from django.urls import path
from django.utils import timezone
from ninja import NinjaAPI, Schema
from audience.models import Customer
from campaigns.deciding.draw import draw_offer, draw_seed, is_held_back
from campaigns.models import Campaign, Status
from experiments.assigning.assignment import assign
from experiments.models import Exposure
from recommender.decision_ids import RANDOM_BITS, decision_id
from recommender.models import Decision, Reward
from recommender.weighing.odds import Odds

api = NinjaAPI(docs_url=None)

class Question(Schema):
    customer: str
    placements: list[str]
    context: dict[str, Any] = {}

@cache
def running(placement):
    found = Campaign.objects.filter(placement__key=placement, status=Status.RUNNING)
    found = found.select_related("policy", "experiment").prefetch_related("offers")
    campaigns = list(found.order_by("priority"))
    for campaign in campaigns:
        campaign.all_arms = list(campaign.experiment.arms.all())
        campaign.by_key = {offer.key: offer for offer in campaign.offers.all()}
        version = campaign.policy.versions.first()
        campaign.odds = None if version is None else Odds.from_bytes(bytes(version.odds))
    return campaigns

@api.post("/decide")
def decide(request, question: Question):
    now = timezone.now()
    with transaction.atomic():
        customer, _ = Customer.objects.get_or_create(external_key=question.customer)
        return {"decisions": [decide_in(p, customer, question, now) for p in question.placements]}

def decide_in(placement, customer, question, now):
    for campaign in running(placement):
        if campaign.starts_at is not None and campaign.starts_at > now:
            continue
        met = Exposure.objects.filter(experiment=campaign.experiment, customer=customer).first()
        if met is None:
            weights = [arm.weight for arm in campaign.all_arms]
            place = assign(campaign.experiment.seed, customer.external_key, weights)
            if place is None:
                continue
            arm = campaign.all_arms[place]
            Exposure.objects.create(
                experiment=campaign.experiment, customer=customer, arm=arm, exposed_at=now)
        else:
            arm = next(arm for arm in campaign.all_arms if arm.id == met.arm_id)
        since = now - timedelta(minutes=campaign.hold_minutes)
        last = Decision.objects.filter(
            customer=customer, campaign=campaign.key, decided_at__gte=since
        ).order_by("-decided_at").first()
        made = last or draw(campaign, arm, placement, customer, question.context, now)
        offer = campaign.by_key.get(made.offer)
        return {
            "placement": placement, "decision_id": made.id, "campaign": campaign.key,
            "arm": arm.key, "propensity": made.propensity, "reasons": made.reasons,
            "offer": offer and {"key": offer.key, "headline": offer.headline, "text": offer.text},
        }

def draw(campaign, arm, placement, customer, context, now):
    policy, odds = campaign.policy, campaign.odds
    made = Decision(
        id=decision_id(now, entropy=secrets.randbits(RANDOM_BITS)), decided_at=now,
        customer=customer, campaign=campaign.key, placement=placement, arm=arm.key, policy=policy,
        propensity=1.0, eligible=[], weights=[], features=[], reasons=["hold-out: no offer"],
        products=[], held_back=is_held_back(
            policy.key, customer_key=customer.external_key, share=policy.held_back_share))
    serves = arm.named_values.get("serves")
    if serves != "nothing":
        x = odds.features.encode({**customer.attributes, **context})
        if serves == "policy":
            weights = odds.weights(x, np.ones(len(odds.offers), dtype=bool))
            made.policy_version = odds.version
        else:
            weights = np.full(len(odds.offers), 1 / len(odds.offers))
        seed = draw_seed(campaign.key, version=made.policy_version or 0, decision_id=made.id)
        drawn = draw_offer(weights, seed=seed, customer_key=customer.external_key)
        made.offer, made.propensity = odds.offers[drawn.index], drawn.propensity
        made.eligible, made.weights = list(odds.offers), list(drawn.weights)
        made.features, made.reasons = x.tolist(), [f"drawn from version {odds.version}"]
    made.save(force_insert=True)
    Reward.objects.create(
        decision=made, policy=policy,
        due_at=now + timedelta(seconds=policy.reward_window_seconds))
    return made

urlpatterns = [path("ninja/", api.urls), path("healthz", lambda request: HttpResponse("ok"))]
application = get_wsgi_application()
"""
# The same desk behind the framework that Django people would take.
PEER = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
from django.conf import settings
settings.ROOT_URLCONF = "benchmark_peer"
settings.MIDDLEWARE = []
from config import asgi as ours
from django.urls import path
from ninja import NinjaAPI, Schema
from typing import Any
from audience.customers.finding import Name
from campaigns.deciding.api import _to_reply
from campaigns.deciding.desk import Visit
import msgspec, sys

desk = ours.application.router.find("/api/v1/decide")[0].handlers["POST"].__self__._desk
api = NinjaAPI(docs_url=None)

class Question(Schema):
    customer: str
    placements: list[str]
    context: dict[str, Any] = {}

@api.post("/decide")
async def decide(request, question: Question):
    visit = Visit(Name(question.customer), dict.fromkeys(question.placements, 1), question.context)
    return msgspec.to_builtins(_to_reply(await desk.serve(visit)))

urlpatterns = [path("ninja/", api.urls)]
application = ours.application
"""


def shot(key: str, customer: str, placement: str = "home50", path: str = "/api/v1/decide") -> Shot:
    """Write a decide request for a customer who knows 32 features' worth about themselves."""
    body = {"customer": customer, "placements": [placement], "context": CONTEXT}
    token = b64encode(f"{key}:".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    return Shot(path, "POST", headers, json.dumps(body))


def ratio(site: Site, one: Shot, other: Shot, name: str, *, beside: Site | None = None) -> float:
    """Load two endpoints in turn; print both, and return the median ratio of their throughputs.

    The other one is asked for at `beside`, if that is given.
    """
    pairs: list[tuple[Load, Load]] = []
    for _ in range(ROUNDS):
        pairs.append((load(site, one), load(beside or site, other)))
        print(f"  {pairs[-1][0]}\n  {pairs[-1][1]}")
        if pairs[-1][0].refused or pairs[-1][1].refused:
            raise SystemExit("Some requests were refused; what was measured means nothing.")
    found = statistics.median(a.requests_per_second / b.requests_per_second for a, b in pairs)
    print(f"{name}: {found:.3f}")
    return found


def paced(site: Site, request: Shot, rate: float, *, seconds: float = 10) -> Load:
    """Send requests at a steady rate, and return their latency as a client sees it."""
    script = Path(__file__).with_name("pacing.py")
    done = subprocess.run(
        [sys.executable, str(script), site.url, str(rate), str(seconds)],
        input=json.dumps({"path": request.path, "headers": dict(request.headers),
                          "body": request.body}),
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return Load(**json.loads(done.stdout))


def install_peer(directory: Path) -> None:
    """Install django-ninja beside the project's own packages, for this benchmark alone."""
    if not (directory / "ninja").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
        packages = [NINJA, "pydantic", "pydantic-core", "annotated-types", "typing-inspection"]
        subprocess.run([*command, str(directory), *packages], check=True)
    (directory / "benchmark_peer.py").write_text(PEER)
    (directory / "benchmark_ordinary.py").write_text(ORDINARY)


def main() -> None:
    """Start everything, measure, stop everything."""
    hello = Shot("/healthz")
    peer = Path(".data/ninja").absolute()
    peer.mkdir(parents=True, exist_ok=True)
    install_peer(peer)
    with services() as environment:
        key = run_in_shell(environment, SETUP).split("KEY=")[1].strip()
        with serving(environment) as site:
            print("New customers, 20 campaigns, 50 offers, 32 features, against a bare endpoint")
            ratio(site, shot(key, "NUMBER"), hello, "decide / bare")
            print("A customer who holds an offer, against a bare endpoint")
            ratio(site, shot(key, "ada"), hello, "held / bare")
            print("500 offers against 50")
            ratio(site, shot(key, "NUMBER", "home500"), shot(key, "NUMBER"), "500 / 50")
            full = load(site, shot(key, "NUMBER")).requests_per_second
            print(f"At 70% of {full:,.0f} requests/s")
            print(f"  {paced(site, shot(key, 'NUMBER'), 0.7 * full)}")
            print(f"Resident memory of the worker: {site.memory_mb():.0f} MB")
        with_peer = {**environment, "PYTHONPATH": str(peer)}
        there = shot(key, "NUMBER", path="/ninja/decide")
        with (
            serving(environment) as site,
            serving(with_peer, "benchmark_ordinary:application", threads=THREADS) as other,
        ):
            print("Against django-ninja, written by the ORM")
            ratio(site, shot(key, "NUMBER"), there, "decide / ninja", beside=other)
        with serving(with_peer, "benchmark_peer:application") as site:
            print("Against django-ninja with the same desk")
            ratio(site, shot(key, "NUMBER"), there, "decide / ninja with the same desk")


if __name__ == "__main__":
    main()
