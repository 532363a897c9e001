"""How long the report page takes on the server, how many queries, and how large it is.

Run it with `python -m benchmarks.report`; it makes a database of its own and drops it afterwards.
The bars: a report of 3 arms, 10 metrics and 10 segments from a stored analysis within 300 ms of
server time and 15 queries, and 150 kB over the wire. The floor beside it is the log-in page of the
same process.
"""

import gzip
import os
import statistics
import time
from collections.abc import Callable

import django

REPEATS = 15


def main() -> None:
    """Print the report's time, queries and size beside the log-in page's."""
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from tests.makers import make_user

    settings.ALLOWED_HOSTS = ["testserver"]
    headers = {"x-forwarded-proto": "https", "accept-encoding": "gzip"}
    stranger, client = Client(headers=headers), Client(headers=headers)
    client.force_login(make_user(is_superuser=True))
    pages = (("log-in page", stranger, "/admin/login/"), ("report", client, make_report()))
    for name, client, path in pages:
        client.get(path)
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            answer = client.get(path)
            times.append(time.perf_counter() - start)
        with CaptureQueriesContext(connection) as queries:
            client.get(path)
        body = gzip.decompress(answer.content) if answer.has_header("content-encoding") else b""
        print(
            f"{name:12} {1000 * statistics.median(times):6.0f} ms (least {1000 * min(times):.0f}), "
            f"{len(queries)} queries, {len(answer.content) / 1000:.0f} kB over the wire, "
            f"{len(body) / 1000:.0f} kB of HTML"
        )


def make_report() -> str:
    """Fill an experiment of 3 arms, 10 metrics and 10 segments and analyse it at 12 looks."""
    from experiments.analysing.analysis import analyse
    from experiments.lifecycle.drafting import ArmPlan
    from tests.makers import (
        DAY,
        HOUR,
        NOW,
        event_row,
        expose,
        make_customers,
        make_events,
        make_experiment,
        make_metric,
    )

    metrics = [make_metric(f"Event {n}", kind=("mean", "conversion")[n % 2]) for n in range(10)]
    arms = [ArmPlan("control", "Control", 4000, is_control=True)]
    arms += [ArmPlan(key, key.title(), 3000) for key in ("green", "blue")]
    experiment = make_experiment(
        arms=arms,
        goal=metrics[0],
        guardrails={metrics[1]: 0.1},
        others=metrics[2:],
        planned_customers=6000,
        segments=["country"],
        is_standalone=True,
    )
    for arm in arms:
        for country in range(10):
            people = make_customers(150, attributes={"country": f"country {country}"})
            for part in range(12):
                expose(experiment, people[part::12], arm.key, at=NOW + part * DAY)
            rows = [
                event_row(person, f"Event {n}", at=NOW + 11 * DAY + HOUR, value=5.0 + k % 7)
                for n in range(10)
                for k, person in enumerate(people)
                if (k + n) % 4 == 0
            ]
            rows += [event_row(p, "Event 0", at=NOW - DAY, value=3.0) for p in people[::3]]
            make_events(rows)
    for day in range(1, 13):
        analyse(experiment, now=NOW + day * DAY)
    return experiment.get_absolute_url()


def with_database(run: Callable[[], None]) -> None:
    """Run on throwaway servers and a throwaway database, as the tests do."""
    from contextlib import ExitStack

    from tests.services import start_missing

    with ExitStack() as stack:
        start_missing(stack)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        from django.test.runner import DiscoverRunner
        from django.test.utils import setup_test_environment, teardown_test_environment

        setup_test_environment()
        runner = DiscoverRunner(verbosity=0, interactive=False)
        made = runner.setup_databases()
        try:
            run()
        finally:
            runner.teardown_databases(made)
            teardown_test_environment()


if __name__ == "__main__":
    with_database(main)
