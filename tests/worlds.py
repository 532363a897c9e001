"""Fills experiments with customers of whom some order."""

from experiments.models import Experiment
from tests.makers import HOUR, NOW, event_row, expose, make_customers, make_events


def fill_arms(experiment: Experiment, **arms: tuple[int, int]) -> None:
    """Let so many customers meet each arm, by its key, and so many of them order."""
    for arm, (customers, orders) in arms.items():
        people = make_customers(customers)
        expose(experiment, people, arm, at=NOW)
        make_events(
            [event_row(p, "Order Completed", at=NOW + HOUR, value=10.0) for p in people[:orders]]
        )
