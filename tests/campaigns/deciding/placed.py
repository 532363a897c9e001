"""Which customers a running campaign's hash puts into one of its arms."""

from collections.abc import Iterable, Iterator

from campaigns.models import Campaign
from experiments.assigning.assignment import assign


def those_in(campaign: Campaign, arm: str, keys: Iterable[str]) -> Iterator[str]:
    """Return, of these customers' keys, those of whoever falls into an arm."""
    arms = list(campaign.experiment.arms.order_by("position"))
    place, weights = [each.key for each in arms].index(arm), [each.weight for each in arms]
    return (key for key in keys if assign(campaign.experiment.seed, key, weights) == place)
