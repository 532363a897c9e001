"""Finds the leaf of a contextual bandit that a customer belongs to, with its weights."""

from collections.abc import Mapping
from typing import Any

from experiments.growthbook.buckets import equal_weights
from experiments.growthbook.context import Context

# What is told instead of a leaf where none is the customer's, and the rule's own weights are used.
NO_LEAF = -1


def add_leaf(
    experiment: Mapping[str, Any], definition: Mapping[str, Any] | None, context: Context
) -> Mapping[str, Any]:
    """Give an experiment the weights of the first leaf whose condition the customer meets.

    Args:
        experiment: One with the weights that hold where no leaf does.
        definition: The bandit's leaves and version; without it, the experiment is a plain one.
        context: The customer.
    """
    if definition is None:
        return experiment
    leaves = definition.get("contexts") or ()
    leaf = next((each for each in leaves if context.meets(each.get("condition"))), None)
    if leaf is None:
        weights = experiment.get("weights") or equal_weights(len(experiment["variations"]))
        bandit: dict[str, Any] = {"leafId": NO_LEAF, "variationWeights": weights}
    else:
        experiment = {**experiment, "weights": leaf["weights"]}
        bandit = {"leafId": leaf["leafId"], "variationWeights": leaf["weights"]}
    if definition.get("banditVersion") is not None:
        bandit["banditVersion"] = definition["banditVersion"]
    return {**experiment, "contextualBandit": bandit}
