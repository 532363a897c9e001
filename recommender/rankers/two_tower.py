"""Rank by two networks: what a customer met on one side, what an item is on the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recommender.arrays import IntArray, ScoreArray, SparseArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.attributions import integrate_gradients
from recommender.rankers.base import Attribution, Between
from recommender.rankers.neural import FIRST_SIZE, NeuralRanker, hold_back, validate_scores
from recommender.training.epochs import WHOLE, Part

PRICES = 2  # the logarithm, and whether it is known


@dataclass(kw_only=True, eq=False)
class TwoTower(NeuralRanker["Towers"]):
    """Predicts the next item by the cosine of two vectors, over a temperature.

    The item's tower reads an embedding of its own, the mean embedding of its words and attributes,
    and its price, so that a new item is not unknown. The customer's tower reads the vectors of the
    newest `length` items, each `decay` of the next, and of the newest alone.

    The loss is a softmax among the items of a batch, each logit less the logarithm of how often its
    item is in a batch (Yi et al. 2019), or popular items would be punished for standing in for all
    others.

    Attributes:
        decay: What each event counts of the one after it.
        words: What is said of each item, shape (n_items, n_words).
        prices: Of each item: its logarithm and whether it is known, shape (n_items, 2).
    """

    searched: ClassVar[dict[str, Between]] = NeuralRanker.searched | {
        "length": Between(5, 50, is_log=True),
        "decay": Between(0.3, 1.0),
    }
    length: int = 20
    decay: float = 0.8
    dropout: float = 0.2
    rate: float = 0.003
    epochs: int = 30
    patience: int = 4
    batch: int = 512
    words: SparseArray = field(init=False, repr=False)
    prices: ScoreArray = field(init=False, repr=False)

    def describe(self, facts: ItemFacts | None, *, n_items: int) -> None:
        """Keep words and prices; without facts an item is its embedding alone.

        Raises:
            ValueError: The facts are of other items.
        """
        self.words, self.prices = _describe(facts, n_items)

    def make(self, *, n_items: int) -> "Towers":
        """Make both towers for the items that were described."""
        return Towers(self)

    def task(self, network: "Towers", histories: Histories) -> "Pairs":
        """Foresee every event by what was before it."""
        return Pairs(self, network, histories)

    def count_items(self) -> int:
        """Count the items that were described."""
        return len(self.prices)

    def score(self, histories: Histories) -> ScoreArray:
        """Multiply each customer's vector with those of all items."""
        return self.network.score(histories.newest(self.length))

    def attribute(self, items: Sequence[int], item: int, *, n_items: int) -> Attribution:
        """Share a score out among the events and what is said of the item.

        By integrated gradients, from a history of as many events of nobody, and an item of which
        nothing is said.
        """
        return self.network.attribute(Histories.of([items], n_items=n_items), item)


class Towers(nn.Module):
    """Both towers, and what is said of the items."""

    def __init__(self, ranker: TwoTower) -> None:
        """Make towers for the items that a ranker knows."""
        super().__init__()
        n_items, n_words = ranker.words.shape
        size, self._ranker = ranker.size, ranker
        self.own = nn.Embedding(n_items, size)
        self.said = nn.EmbeddingBag(max(n_words, 1), size, mode="mean")
        for embedding in (self.own, self.said):
            nn.init.normal_(embedding.weight, std=FIRST_SIZE)
        self.item = nn.Linear(size + PRICES, size)
        nn.init.zeros_(self.item.weight)
        self.customer = nn.Sequential(
            nn.Linear(2 * size, 2 * size),
            nn.ReLU(),
            nn.Dropout(ranker.dropout),
            nn.Linear(2 * size, size),
        )
        self.nobody = nn.Parameter(torch.randn(size) * FIRST_SIZE)
        self.dropout = nn.Dropout(ranker.dropout)

    def items(self, numbers: IntArray) -> Tensor:
        """Return items' vectors of length 1, (m,) to (m, size)."""
        device = self.own.weight.device
        rows = self._ranker.words[numbers]
        words = self.said(
            torch.from_numpy(rows.indices.astype(np.int64)).to(device),
            torch.from_numpy(rows.indptr[:-1].astype(np.int64)).to(device),
        )
        prices = torch.from_numpy(self._ranker.prices[numbers]).to(device)
        return self._mix(self.own(torch.from_numpy(numbers).to(device)) + words, prices)

    def _mix(self, own: Tensor, prices: Tensor) -> Tensor:
        """Make items' vectors of what they are by themselves, (m, size), and prices, (m, 2)."""
        mixed = own + self.item(torch.cat([self.dropout(own), prices], dim=1))
        return functional.normalize(mixed, dim=1)

    def customers(self, vectors: Tensor, histories: Histories) -> Tensor:
        """Read histories to vectors of length 1, (n, size), by the vectors of their events."""
        device, n = vectors.device, len(histories)
        weights = torch.from_numpy(
            (histories.weights * self._ranker.decay**histories.ages).astype(np.float32)
        ).to(device)
        rows = torch.from_numpy(histories.customers).to(device)
        mean = torch.zeros(n, vectors.shape[1], device=device, dtype=vectors.dtype)
        mean = mean.index_add(0, rows, vectors * weights[:, None].to(vectors.dtype))
        newest = self.nobody.to(vectors.dtype).repeat(n, 1)
        is_last = torch.from_numpy(np.flatnonzero(histories.ages == 0)).to(device)
        newest = newest.index_copy(0, rows[is_last], vectors[is_last])
        both = torch.cat([functional.normalize(mean, dim=1), newest], dim=1)
        met: Tensor = functional.normalize(mean + newest, dim=1) + self.customer(both)
        return functional.normalize(met, dim=1)

    def attribute(self, histories: Histories, item: int) -> Attribution:
        """Share the score of an item after one history out."""
        read = histories.newest(self._ranker.length)
        row = self._ranker.words[[item]]
        words = self.said.weight[row.indices.astype(np.int64)].detach()  # (w, size)
        inputs = [
            self.items(read.items).detach(),  # (h, size)
            self.own.weight[[item]].detach(),
            words / max(len(words), 1),
            torch.from_numpy(self._ranker.prices[[item]]).to(words.device),
        ]
        nobody = self.nobody.detach().expand_as(inputs[0])
        baselines = [nobody, *(torch.zeros_like(each) for each in inputs[1:])]

        def value(at: Sequence[Tensor]) -> Tensor:
            met, own, said, price = at
            vector = self._mix(own + said.sum(dim=0, keepdim=True), price)
            return (self.customers(met, read) * vector).sum()

        owed = [each.sum(dim=1) for each in integrate_gradients(value, inputs, baselines)]
        events = np.zeros(len(histories.items))
        events[len(events) - len(read.items) :] = owed[0].cpu().numpy()
        return Attribution(
            events=events,
            words=dict(zip(row.indices.tolist(), owed[2].tolist(), strict=True)),
            price=float(owed[3].sum()),
            own=float(owed[1].sum()),
        )

    @torch.no_grad()
    def score(self, histories: Histories) -> ScoreArray:
        """Score all items for each history, (n, n_items)."""
        every = self.items(np.arange(histories.n_items, dtype=np.int64))
        met = torch.from_numpy(histories.items).to(every.device)
        scores: ScoreArray = (self.customers(every[met], histories) @ every.T).cpu().numpy()
        return scores


class Pairs:
    """The training of both towers, on histories and what came next."""

    def __init__(self, ranker: TwoTower, model: Towers, histories: Histories) -> None:
        """Hold some last events back; each other one follows what was before it."""
        self.ranker = ranker
        self.model: nn.Module = model
        self._towers = model
        self._learned, self._asked, self._answers = hold_back(histories, length=ranker.length)
        self._rows = self._learned.customers
        counts = np.bincount(self._learned.items, minlength=histories.n_items)
        share = counts / max(len(self._learned.items), 1)
        with np.errstate(divide="ignore"):
            self._log_share = np.log(share).astype(np.float32)

    def batches(self, rng: np.random.Generator) -> Iterator[IntArray]:
        """Give events, (b,), in any order."""
        events = rng.permutation(len(self._learned.items))
        for first in range(0, len(events), self.ranker.batch):
            yield events[first : first + self.ranker.batch]

    def size(self, batch: IntArray) -> int:
        """Count the events of a batch."""
        return len(batch)

    def loss(self, batch: IntArray, part: Part = WHOLE) -> Tensor:
        """Return the mean surprise at the events of a batch, among all items of it.

        Of a part, it is the sum over its own events, of as many as there are in the batch.
        """
        own = batch[part.rows(len(batch))]
        before = self._before(own)
        answers = np.unique(self._learned.items[batch])
        numbers = np.union1d(answers, before.items)
        vectors = self._towers.items(numbers)

        def places(items: IntArray) -> Tensor:
            return torch.from_numpy(np.searchsorted(numbers, items)).to(vectors.device)

        met = self._towers.customers(vectors[places(before.items)], before)
        logits = met @ vectors[places(answers)].T / self.ranker.temperature  # (b, candidates)
        often = torch.from_numpy(self._log_share[answers]).to(vectors.device)
        wanted = np.searchsorted(answers, self._learned.items[own])
        surprise = functional.cross_entropy(
            logits - often, torch.from_numpy(wanted).to(vectors.device), reduction="sum"
        )
        return surprise / len(batch)

    def validate(self) -> float:
        """Return NDCG@10 of the last events that are held back; 0 if none could be."""
        return validate_scores(self._towers.score, self._asked, self._answers)

    def _before(self, events: IntArray) -> Histories:
        """Return what the customer of each event had met before it."""
        begin = np.maximum(self._learned.starts[self._rows[events]], events - self.ranker.length)
        lengths = events - begin
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        offsets = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        chosen = np.repeat(begin, lengths) + offsets
        return Histories(
            starts=starts,
            items=self._learned.items[chosen],
            weights=self._learned.weights[chosen],
            times=self._learned.times[chosen],
            n_items=self._learned.n_items,
        )


def _describe(facts: ItemFacts | None, n_items: int) -> tuple[SparseArray, ScoreArray]:
    """Return what is said of items as the towers read it.

    Raises:
        ValueError: It is said of other items.
    """
    if facts is None:
        nothing = ItemFacts.of([[]] * n_items)
        return nothing.words, np.zeros((n_items, PRICES), dtype=np.float32)
    if facts.words.shape[0] != n_items:
        raise ValueError(f"These are facts about {facts.words.shape[0]} items, not {n_items}.")
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(facts.prices)
    known = np.isfinite(logs)
    middle = logs[known].mean() if known.any() else 0.0
    prices = np.stack([np.where(known, logs - middle, 0.0), known.astype(np.float64)], axis=1)
    return facts.words, prices.astype(np.float32)
