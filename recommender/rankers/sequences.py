"""Rank by a network that reads a history in order: what all such rankers share."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recommender.arrays import IntArray, ScoreArray
from recommender.interactions.histories import Histories
from recommender.rankers.neural import FIRST_SIZE, NeuralRanker, hold_back, validate_scores
from recommender.training.epochs import WHOLE, Part


@dataclass(kw_only=True, eq=False)
class SequenceRanker(NeuralRanker["Network"]):
    """Predicts the next item after each item of a history.

    The network turns the newest `length` items into a vector after each of them; an item's score is
    the cosine of its embedding and the last vector. The loss is a softmax of cosines over a
    temperature, among all items that came next in a batch, each logit less the logarithm of how
    often its item comes (Yi et al. 2019); what else the same customer met is no wrong answer. The
    same embedding stands for an item as what was met and as what may come.

    Batches are of histories of like length, so that hardly anything is computed for filling.
    """

    @abstractmethod
    def encoder(self) -> nn.Module:
        """Make the part that reads: (b, t, size) to (b, t, size), each from what came before.

        Where it is `Timed`, it is given the seconds of the events too, (b, t).
        """

    def make(self, *, n_items: int) -> "Network":
        """Put the part that reads behind embeddings."""
        return Network(self.encoder(), n_items=n_items, size=self.size)

    def task(self, network: "Network", histories: Histories) -> "NextItem":
        """Foresee every next item."""
        return NextItem(self, network, histories)

    def count_items(self) -> int:
        """Count the embeddings but for that of the beginning."""
        return len(self.weights["items.weight"]) - 1

    def score(self, histories: Histories) -> ScoreArray:
        """Read each history and multiply what it leads to with all items."""
        return self.network.score(histories.newest(self.length), device=self.context.device)


class Timed(nn.Module):
    """A layer that reads when things happened, too."""


class Stack(Timed, nn.Sequential):
    """Layers one after the other, some of which read times."""

    def forward(self, x: Tensor, times: Tensor) -> Tensor:  # type: ignore[override]  # one more
        """Read (b, t, size) and (b, t) to (b, t, size)."""
        for layer in self:
            x = layer(x, times) if isinstance(layer, Timed) else layer(x)
        return x


class Filled(NamedTuple):
    """Histories of about one length: items and seconds, both (b, t)."""

    items: IntArray
    times: IntArray


class Network(nn.Module):
    """Embeddings of items and of the beginning of every history, and what reads them."""

    def __init__(self, encoder: nn.Module, *, n_items: int, size: int) -> None:
        """Number the beginning n_items, so that somebody without history can be read too."""
        super().__init__()
        self.items = nn.Embedding(n_items + 1, size)
        nn.init.normal_(self.items.weight, std=FIRST_SIZE)
        self.encoder = encoder

    def forward(self, items: Tensor, times: Tensor) -> Tensor:
        """Read items and their seconds, (b, t), to what each leads to, (b, t, size)."""
        # As large as what the layers add, or the item itself would be lost among it.
        embedded = self.items(items) * self.items.embedding_dim**0.5
        is_timed = isinstance(self.encoder, Timed)
        read: Tensor = self.encoder(embedded, times) if is_timed else self.encoder(embedded)
        return read

    @torch.no_grad()
    def score(self, histories: Histories, *, device: str) -> ScoreArray:
        """Score all items after each history, (n, n_items)."""
        beginning = self.items.num_embeddings - 1
        filled = fill(histories, beginning=beginning)  # (n, t)
        items, times = (torch.from_numpy(part).to(device) for part in filled)
        read = self(items, times)  # (n, t, size)
        last = read[torch.arange(len(items)), torch.from_numpy(histories.lengths)]  # (n, size)
        every = functional.normalize(self.items.weight[:-1], dim=1)
        scores: ScoreArray = (functional.normalize(last, dim=1) @ every.T).cpu().numpy()
        return scores


class NextItem:
    """The training of one ranker's network."""

    def __init__(self, ranker: SequenceRanker, model: Network, histories: Histories) -> None:
        """Hold some last events back; everything else is learned from."""
        self.ranker = ranker
        self.model: nn.Module = model
        self._network = model
        learned, self._asked, self._answers = hold_back(histories, length=ranker.length)
        counts = np.bincount(learned.items, minlength=learned.n_items)
        share = np.maximum(counts, 1) / max(len(learned.items), 1)
        self._log_share = torch.from_numpy(np.log(share).astype(np.float32))
        # One more than is read: the item after the last one read is an answer too.
        self._learned = cut(learned, ranker.length + 1)

    def batches(self, rng: np.random.Generator) -> Iterator[Filled]:
        """Give filled histories of like length, (b, t + 1), in any order."""
        customers = rng.permutation(len(self._learned))
        customers = customers[np.argsort(self._learned.lengths[customers], kind="stable")]
        stops = range(0, len(customers), self.ranker.batch)
        for first in rng.permutation(np.array(stops)):
            some = self._learned.of_customers(customers[first : first + self.ranker.batch])
            yield fill(some, beginning=some.n_items)

    def size(self, batch: Filled) -> int:
        """Count the histories of a batch."""
        return len(batch.items)

    def loss(self, batch: Filled, part: Part = WHOLE) -> Tensor:
        """Return the mean surprise at the next items of a batch, among all of these.

        Of a part, it is the sum over its own histories, of as many as there are in the batch.
        """
        device, own = self.ranker.context.device, part.rows(len(batch.items))
        items, times = (torch.from_numpy(each).to(device) for each in batch)
        is_next = items[:, 1:] < self._learned.n_items  # (b, t): what fills up is no item
        candidates = torch.unique(items[:, 1:][is_next])
        n = is_next.sum()
        items, times, is_next = items[own], times[own], is_next[own]
        read = functional.normalize(self.model(items[:, :-1], times[:, :-1])[is_next], dim=1)
        places = torch.searchsorted(candidates, items[:, 1:][is_next])  # (m,)
        customers = torch.arange(len(items), device=device)[:, None].expand_as(is_next)[is_next]
        embedded = functional.normalize(self._network.items(candidates), dim=1)
        often = self._log_share.to(device)[candidates]
        logits = read @ embedded.T / self.ranker.temperature - often  # (m, candidates)
        met = torch.zeros(len(items), len(candidates), dtype=torch.bool, device=device)
        met[customers, places] = True
        others = met[customers].scatter(1, places[:, None], value=False)
        surprise = functional.cross_entropy(
            logits.masked_fill(others, -torch.inf), places, reduction="sum"
        )
        return surprise / n

    def validate(self) -> float:
        """Return NDCG@10 of the last events that are held back; 0 if none could be."""
        device = self.ranker.context.device
        return validate_scores(
            lambda asked: self._network.score(asked, device=device), self._asked, self._answers
        )


def cut(histories: Histories, most: int) -> Histories:
    """Cut every history into pieces of at most so many events, the last one whole."""
    begins = histories.ages % most == most - 1
    begins[histories.starts[:-1][histories.lengths > 0]] = True
    return Histories(
        starts=np.append(np.flatnonzero(begins), len(histories.items)).astype(np.int64),
        items=histories.items,
        weights=histories.weights,
        times=histories.times,
        n_items=histories.n_items,
    )


def fill(histories: Histories, *, beginning: int) -> Filled:
    """Put each history after a beginning, and fill up behind it: (n, longest + 1).

    What comes behind is never read by what is before, so it needs no mask. It is filled with the
    beginning's number. The beginning is at the time of the first event.
    """
    longest = int(histories.lengths.max(initial=0))
    items = np.full((len(histories), longest + 1), beginning, dtype=np.int64)
    times = np.zeros((len(histories), longest + 1), dtype=np.int64)
    customers = histories.customers
    places = histories.lengths[customers] - histories.ages  # 1 … length
    items[customers, places] = histories.items
    times[customers, places] = histories.times
    if longest:
        times[:, 0] = times[:, 1]
    return Filled(items, times)
