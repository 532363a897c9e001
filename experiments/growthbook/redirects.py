"""Finds the page that an experiment sends a customer to instead of the one asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.growthbook.addresses import add_query, is_targeted
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.results import ExperimentResult


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where to, and the variation that says so."""

    url: str
    result: ExperimentResult


def find_redirect(
    evaluator: Evaluator, experiments: Iterable[Mapping[str, Any]], url: str
) -> Redirect | None:
    """Find the first experiment that sends the customer of a page elsewhere; the rest do not run.

    Nobody is sent to a page from which the same experiment would send on.
    """
    for experiment in experiments:
        result = evaluator.run(experiment)
        target = result.value.get("urlRedirect") if result.is_in else None
        if not target:
            continue
        if experiment.get("persistQueryString"):
            target = add_query(url, target)
        if not is_targeted(target, experiment["urlPatterns"]):
            return Redirect(target, result)
    return None
