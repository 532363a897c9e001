"""Learn linear rewards in what a network sees in customers (Riquelme, Tucker & Snoek 2018).

A small network predicts every offer's reward from the log. Its last hidden layer joins the
customer's own columns, so that nothing linear is lost: on both together each offer has the Bayesian
regression that every linear bandit has, exact and additive, and explored as `randomised_ucb` is.
The network itself is a point estimate: how sure one may be is told by the regression alone. Until
there is a network, customers are taken as they are.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from recommender.arrays import FloatArray
from recommender.bandits.base import Log
from recommender.bandits.randomised_ucb import RandomisedUCB
from recommender.training.epochs import WHOLE, Part, Plan, train
from recommender.weighing.representation import Representation

WIDTHS = (64, 16)  # of the hidden layers
BATCH = 256
VALIDATED = 0.1  # the share of decisions on which training is stopped
EPOCHS, PATIENCE, RATE, SEED = 60, 6, 3e-3, 1


class NeuralLinear(RandomisedUCB):
    """Bayesian linear regression on a network's last hidden layer."""

    def train(self, log: Log, *, n_offers: int) -> Representation:
        """Learn from decisions what to see in customers.

        Args:
            log: Decisions, at least two of them.
            n_offers: K.
        """
        network = _Network(log.x.shape[1], n_offers).to(self.device)
        task = _Rewards(network, log, device=self.device)
        plan = Plan(epochs=EPOCHS, patience=PATIENCE, rate=RATE, seed=SEED, device=str(self.device))
        train(task, plan)
        return network.representation()


class _Network(nn.Module):
    """Hidden layers that all offers share, and a head for each: linear in them and in customers."""

    def __init__(self, inputs: int, n_offers: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            self.hidden = [nn.Linear(a, b) for a, b in pairwise((inputs, *WIDTHS))]
            self.heads = nn.Linear(inputs + WIDTHS[-1], n_offers)
        self.layers = nn.ModuleList(self.hidden)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for layer in self.hidden:
            seen = torch.tanh(layer(seen))
        heads: Tensor = self.heads(torch.cat([x, seen], dim=-1))
        return heads  # (n, K)

    def representation(self) -> Representation:
        """Return the hidden layers as plain arrays."""
        return Representation(
            weights=tuple(_array(layer.weight.T) for layer in self.hidden),
            biases=tuple(_array(layer.bias) for layer in self.hidden),
        )


class _Rewards:
    """Predict what decisions earned, in standard deviations of a reward."""

    def __init__(self, model: _Network, log: Log, *, device: torch.device) -> None:
        self.model: nn.Module = model
        mean = np.average(log.reward, weights=log.weight)
        sd = np.sqrt(np.average((log.reward - mean) ** 2, weights=log.weight))
        standard = (log.reward - mean) / (sd or 1.0)
        self._x, self._reward, self._weight = (
            torch.tensor(array, dtype=torch.float32, device=device)
            for array in (log.x, standard, log.weight)
        )
        self._offer = torch.tensor(log.offer_index, device=device)
        order = np.random.default_rng(SEED).permutation(len(log.reward))
        kept_aside = max(round(VALIDATED * len(order)), 1)
        self._validated, self._learned = order[:kept_aside], order[kept_aside:]

    def batches(self, rng: np.random.Generator) -> Iterator[Tensor]:
        """Give places of decisions, shuffled."""
        shuffled = rng.permutation(self._learned)
        for first in range(0, len(shuffled), BATCH):
            yield torch.from_numpy(shuffled[first : first + BATCH])

    def size(self, batch: Tensor) -> int:
        """Count the decisions of a batch."""
        return len(batch)

    def loss(self, batch: Tensor, part: Part) -> Tensor:
        """Return what a part of a batch adds to its mean squared error."""
        return self._error(batch, part)

    def validate(self) -> float:
        """Return how good predictions are of decisions that are not learned from."""
        with torch.no_grad():
            return -float(self._error(torch.from_numpy(self._validated), WHOLE))

    def _error(self, places: Tensor, part: Part) -> Tensor:
        places = places.to(self._x.device)
        total = self._weight[places].sum()
        places = places[part.rows(len(places))]
        predicted = self.model(self._x[places])  # (n, d) -> (n, K)
        own = predicted.gather(1, self._offer[places][:, None])[:, 0]  # (n,)
        squares = (own.float() - self._reward[places]) ** 2
        error: Tensor = (self._weight[places] * squares).sum() / total
        return error


def _array(parameter: Tensor) -> FloatArray:
    array: FloatArray = parameter.detach().cpu().double().numpy()
    return array
