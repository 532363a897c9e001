"""Requests a second and latency of deciding, against a bare endpoint of the same server.

    python -m benchmarks.decide

Starts a throwaway PostgreSQL and Valkey and one server process. The placement has 20 campaigns: 19
whose time has not come and one with 50 offers (then 500) and a policy of 32 features that has
learned. wrk sends requests for customers who were never seen before, so that each one is made,
recalled, weighed, drawn, logged and committed; and for one who holds an offer. The same desk is
asked through a django-ninja endpoint, which is installed beside the project for this alone. Memory
is that of the worker after all this.

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
NUMBERS = 21
SETUP = """
from datetime import timedelta
import numpy as np
from audience.keys import create_source
from audience.models import Scope
from campaigns.drafting import CampaignPlan, add_offers, draft_campaign
from campaigns.lifecycle import start_campaign
from campaigns.models import Offer, Placement
from django.utils import timezone
from experiments.models import Metric
from recommender.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.models import PolicyVersion
from recommender.odds import Odds

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
        factor=np.tile(0.01 * np.eye(32), (size, 1, 1)), floor=0.001, features=features, version=1)
    PolicyVersion.objects.create(
        policy=campaign.policy, number=1, odds=odds.to_bytes(), learned_from=10_000,
        published_at=now)
print("KEY=" + create_source("bench", scopes=[Scope.DECIDE])[1])
"""
# The same desk behind the framework that Django people would take.
PEER = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
from config import asgi as ours
from django.core.asgi import get_asgi_application
from django.conf import settings
from django.urls import path
from ninja import NinjaAPI, Schema
from typing import Any
from audience.finding import Name
from campaigns.api import _to_reply
from campaigns.desk import Visit
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
settings.ROOT_URLCONF = "benchmark_peer"
settings.MIDDLEWARE = []
application = ours.application
"""


def shot(key: str, customer: str, placement: str = "home50", path: str = "/api/v1/decide") -> Shot:
    """Write a decide request for a customer who knows 32 features' worth about themselves."""
    context = {"segment": "b", "device": "phone", **{f"n{i}": 31 + i for i in range(NUMBERS)}}
    body = {"customer": customer, "placements": [placement], "context": context}
    token = b64encode(f"{key}:".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    return Shot(path, "POST", headers, json.dumps(body))


def ratio(site: Site, one: Shot, other: Shot, name: str) -> float:
    """Load two endpoints in turn; print both, and return the median ratio of their throughputs."""
    pairs: list[tuple[Load, Load]] = []
    for _ in range(ROUNDS):
        pairs.append((load(site, one), load(site, other)))
        print(f"  {pairs[-1][0]}\n  {pairs[-1][1]}")
        if pairs[-1][0].refused:
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
        with serving(with_peer, "benchmark_peer:application") as site:
            print("Against django-ninja with the same desk")
            there = shot(key, "NUMBER", path="/ninja/decide")
            ratio(site, shot(key, "NUMBER"), there, "decide / ninja")


if __name__ == "__main__":
    main()
