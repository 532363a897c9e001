"""Every number that the report shows is in the results document, to the digits shown."""

import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from experiments.analysing.analysis import analyse
from experiments.models import Experiment
from experiments.wording import (
    say_difference,
    say_lift,
    say_p_value,
    say_value,
)
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
    make_user,
)

pytestmark = pytest.mark.django_db

# Not what belongs to a name.
NUMBER = re.compile(r"(?<![\w-])[+\u2212]?[€$]?\d[\d,]*(?:\.\d+)?%?")
UNITS = ("percent", "number", "EUR")


class Cells(HTMLParser):
    """Collects the words of tables' cells and of pictures' descriptions."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.found: list[tuple[str, str]] = []
        self.column = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("td", "desc"):
            self.inside.append(tag)
            self.column = dict(attrs).get("data-label") or ""

    def handle_endtag(self, tag: str) -> None:
        if self.inside and tag == self.inside[-1]:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found.append((self.column, data))


@pytest.fixture
def experiment() -> Experiment:
    """Every kind of number: shares, money, a ratio, a quantile, segments, two arms and looks."""
    from experiments.lifecycle.drafting import ArmPlan

    spend = make_metric(kind="mean", cap={"percentile": 95.0}, currency="EUR")
    middle = make_metric(kind="quantile", percentile=50, currency="EUR")
    arms = [ArmPlan("control", "Control", 4000, is_control=True)]
    arms += [ArmPlan(key, key.title(), 3000) for key in ("green", "blue")]
    made = make_experiment(
        arms=arms,
        others=[spend, middle],
        guardrails={make_metric("Cart Viewed"): 0.2},
        planned_customers=1500,
        minimum_days=1,
        segments=["country"],
    )
    for day in (0, 2):
        for country in ("de", "fr"):
            for arm, bought in (("control", 30), ("green", 50), ("blue", 33)):
                people = make_customers(110, attributes={"country": country})
                make_events(
                    [event_row(p, "Order Completed", at=NOW - DAY, value=7.0) for p in people[:60]]
                )
                expose(made, people, arm, at=NOW + day * DAY)
                at = NOW + day * DAY + HOUR
                make_events(
                    [
                        event_row(p, "Order Completed", at=at, value=5.0 + 1.7 * (n % 23))
                        for n, p in enumerate(people[:bought])
                    ]
                    + [event_row(p, "Cart Viewed", at=at) for p in people[:70]]
                )
        analyse(made, now=NOW + (day + 2) * DAY)
    return made


def numbers_of(document: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Walk through a document."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from numbers_of(value, f"{name} {key}")
    elif isinstance(document, list):
        for value in document:
            yield from numbers_of(value, name)
    elif isinstance(document, int | float) and not isinstance(document, bool):
        yield name, float(document)


def ways_to_say(name: str, value: float) -> Iterator[str]:
    """Say a number in every way that a page may."""
    if "ln_p" in name:
        yield say_p_value(value)
        return
    yield say_lift(value)
    for unit in UNITS:
        yield say_value(value, unit=unit)
        yield say_difference(value, unit=unit)
    if value == math.floor(value):
        yield f"{int(value):,}"


def test_every_number_of_the_page_is_in_the_document(experiment: Experiment) -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("experiments.view_experiment"))
    page = client.get(experiment.get_absolute_url()).content.decode()
    document = client.get(f"/api/v1/experiments/{experiment.key}/results").json()
    said = {
        token
        for name, value in numbers_of(document["report"])
        for way in ways_to_say(name, value)
        for token in NUMBER.findall(way)
    }
    cells = Cells()
    cells.feed(page[: page.index("Can I trust this?")])
    # How much longer one interval is than another follows from both.
    shown = {
        token
        for column, text in cells.found
        if column != "Its length"
        for token in NUMBER.findall(text)
    }
    shown -= set(NUMBER.findall("95%"))
    # The earlier look's numbers are those of its own document, and the looks are counted.
    earlier = experiment.analyses.order_by("computed_at")[0]
    said |= {
        token
        for name, value in numbers_of(earlier.report)
        for way in ways_to_say(name, value)
        for token in NUMBER.findall(way)
    }
    assert len(shown) > 100
    assert shown - said == set()
