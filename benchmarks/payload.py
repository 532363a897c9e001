"""Requests a second of GrowthBook's payload, and of a 304, against a bare endpoint.

    python -m benchmarks.payload

Starts a throwaway site with 20 running experiments and loads three requests in turn with wrk. The
bars: the payload reaches 0.8 of the bare endpoint, and an answer that nothing changed is faster.
"""

import statistics
import urllib.request

from benchmarks.serving import Load, Shot, load, run_in_shell, services, serving

# Short and many: a small machine is faster and slower by a third from one second to the next.
ROUNDS = 40
SECONDS = 1
SETUP = """
from audience.models import Kind, Scope
from audience.sources.keys import create_source
from django.utils import timezone
from experiments.lifecycle.drafting import ArmPlan, plan_experiment
from experiments.models import Experiment, Status

for number in range(20):
    experiment = plan_experiment(
        key=f"experiment-{number}", name=f"Experiment {number}", is_standalone=True,
        arms=[
            ArmPlan("control", "Control", 5000, is_control=True, payload={"colour": "blue"}),
            ArmPlan("new", "New", 5000, payload={"colour": "green", "size": number}),
        ],
        audience={"country": {"$in": ["de", "fr"]}}, planned_customers=1000)
    Experiment.objects.filter(pk=experiment.pk).update(
        status=Status.RUNNING, started_at=timezone.now())
print("KEY=" + create_source("bench", kind=Kind.CLIENT, scopes=[Scope.FLAGS])[1])
"""


def main() -> None:
    """Start everything, measure, stop everything."""
    with services() as environment:
        key = run_in_shell(environment, SETUP).split("KEY=")[1].strip()
        with serving(environment) as site:
            path = f"/api/features/{key}"
            with urllib.request.urlopen(f"{site.url}{path}") as response:
                etag, size = response.headers["etag"], len(response.read())
            shots = {
                "bare": Shot("/healthz"),
                f"payload of {size:,} bytes": Shot(path),
                "unchanged (304)": Shot(path, headers={"If-None-Match": etag}),
            }
            loads: dict[str, list[Load]] = {name: [] for name in shots}
            for _ in range(ROUNDS):
                for name, shot in shots.items():
                    loads[name].append(load(site, shot, seconds=SECONDS))
    bare = statistics.mean(one.requests_per_second for one in loads["bare"])
    for name, found in loads.items():
        mean = statistics.mean(one.requests_per_second for one in found)
        print(f"{name:<26} {mean:>9,.0f} requests/s  {mean / bare:.2f} of bare")


if __name__ == "__main__":
    main()
