"""Rank by a network that is trained by gradients: what all such rankers share."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from torch import nn

from recommender.arrays import IntArray, ScoreArray
from recommender.artifacts import AnyArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import CUSTOMERS_AT_ONCE, Between, Ranker
from recommender.training import parallel
from recommender.training.epochs import Epoch, Plan, Report, Task, train
from recommender.training.event_files import EventFile

# Customers whose last event is held back, to know when to stop: with a thousand, chance alone
# moves NDCG@10 by more than a round of training does.
VALIDATED = 4000
LEAST_LEARNED = 4  # of so many customers, at most one is held back
CUT = 10
FIRST_SIZE = 0.05  # the spread of embeddings at the beginning

N = TypeVar("N", bound=nn.Module)


@dataclass(kw_only=True, eq=False)
class NeuralRanker(Ranker, Generic[N]):
    """Trains a network on histories, and answers by what it learned.

    Attributes:
        size: Of embeddings.
        length: How many of the newest items are read.
        dropout: Which part of the network's inner values is left out at random.
        temperature: What cosines are divided by.
        rate: Of learning.
        epochs: At most so many rounds through all that is learned from.
        patience: It stops after so many rounds without gain on last events that are held back.
        batch: How much is learned from at once.
        seed: Of everything random.
        weights: Of the network, by their names.
    """

    searched: ClassVar[dict[str, Between]] = {
        "size": Between(32, 256, step=32),
        "dropout": Between(0.0, 0.6),
        "temperature": Between(0.03, 0.3, is_log=True),
        "rate": Between(0.0005, 0.01, is_log=True),
    }
    size: int = 64
    length: int = 50
    dropout: float = 0.3
    temperature: float = 0.1
    rate: float = 0.002
    epochs: int = 50
    patience: int = 5
    batch: int = 128
    seed: int = 0
    weights: dict[str, AnyArray] = field(init=False, repr=False)

    @abstractmethod
    def make(self, *, n_items: int) -> N:
        """Make the network as it is before it learns."""

    @abstractmethod
    def task(self, network: N, histories: Histories) -> Task:
        """Say what this network is to learn from histories."""

    @abstractmethod
    def count_items(self) -> int:
        """Return how many items it has learned of."""

    def describe(self, facts: ItemFacts | None, *, n_items: int) -> None:
        """Keep what is said of the items; networks that know items by number alone keep nothing.

        Raises:
            ValueError: It is said of other items.
        """

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Train the network.

        Raises:
            ValueError: The facts are of other items.
        """
        self.__dict__.pop("network", None)  # of a fit before
        self.describe(facts, n_items=histories.n_items)
        device = self.context.device
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = self.make(n_items=histories.n_items).to(device)
        plan = Plan(
            epochs=self.epochs,
            patience=self.patience,
            rate=self.rate,
            seed=self.seed,
            device=device,
        )
        with self._reporting() as report:
            train(
                self.task(network, histories),
                plan,
                checkpoint=self.context.checkpoint,
                report=report,
            )
        self.weights = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
        return self

    @contextmanager
    def _reporting(self) -> Iterator[Report]:
        """Tell how far it is, and write event files where these are wanted."""
        folder = self.context.events if parallel.is_first() else None
        file = None if folder is None else EventFile(folder)

        def report(epoch: Epoch, plan: Plan) -> None:
            if file is not None:
                file.add(epoch)
            self.context.report(epoch.number / plan.epochs)

        try:
            yield report
        finally:
            if file is not None:
                file.close()

    @cached_property
    def network(self) -> N:
        """The network with what it learned."""
        network = self.make(n_items=self.count_items())
        network.load_state_dict(
            {name: torch.from_numpy(np.array(value)) for name, value in self.weights.items()}
        )
        return network.to(self.context.device).eval()


def hold_back(histories: Histories, *, length: int) -> tuple[Histories, Histories, IntArray]:
    """Hold some customers' last events back, to know when to stop.

    Returns:
        What is learned from; the newest `length` events of those customers before it; and the items
        of the events that are held back.
    """
    longer = np.flatnonzero(histories.lengths > 1)
    n = min(VALIDATED, len(longer) // LEAST_LEARNED)
    held = longer[np.linspace(0, len(longer) - 1, n).astype(np.int64)]
    last = np.isin(histories.customers, held) & (histories.ages == 0)
    learned = histories.where(~last)
    asked = learned.of_customers(held).newest(length)
    return learned, asked, histories.of_customers(held).newest(1).items


def validate_scores(
    score: Callable[[Histories], ScoreArray], asked: Histories, answers: IntArray
) -> float:
    """Return NDCG@10 of one answer for each history; 0 if there is none."""
    gains = [0.0]
    for place, some in enumerate(asked.batches(CUSTOMERS_AT_ONCE)):
        scores = score(some)
        first = place * CUSTOMERS_AT_ONCE
        own = scores[np.arange(len(scores)), answers[first : first + len(scores)]][:, None]
        scores[some.customers, some.items] = -np.inf
        ahead = (scores > own).sum(axis=1)
        gains += ((ahead < CUT) / np.log2(ahead + 2)).tolist()
    return sum(gains) / max(len(asked), 1)
