"""Remembers how an experiment was judged before: its looks, the harm found, what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.models import Experiment

# A verdict of these kinds decides.
FINAL = ("win", "loss", "flat")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the looks before found.

    Attributes:
        looks: At which fractions of the planned size the experiment was judged, in their order.
        harm_looks: The first so many of them came before the minimum duration.
        customers: How many customers there were at each, increasing.
        information: How much was known of the goal at each look.
        harmful: The arms that surely did harm at any of them, by key.
        verdict: The first that decided. It stands: the error is spent by then, and one that is
            given anew with every look finds false winners.
    """

    looks: tuple[float, ...] = ()
    harm_looks: int = 0
    customers: tuple[int, ...] = ()
    information: tuple[float | None, ...] = ()
    harmful: tuple[str, ...] = ()
    verdict: Mapping[str, Any] | None = None


def recall_looks(experiment: Experiment) -> Earlier:
    """Read the looks so far; analyses in between, of which there are many more, are not touched."""
    looks = list(
        experiment.analyses.filter(look__isnull=False)
        .order_by("computed_at")
        .values_list(
            "look",
            "report__customers",
            "report__days",
            "report__minimum_days",
            "report__verdict__harmful_arms",
            "report__verdict__information",
        )
    )
    decided = experiment.analyses.filter(is_decision=True)
    return Earlier(
        looks=tuple(look for look, *_ in looks if look is not None),
        harm_looks=sum(days < minimum for _, _, days, minimum, *_ in looks),
        customers=tuple(sorted({customers for _, customers, *_ in looks})),
        information=tuple(known for *_, known in looks),
        harmful=tuple(dict.fromkeys(key for *_, keys, _ in looks for key in keys or ())),
        verdict=decided.values_list("report__verdict", flat=True).first(),
    )
