"""A conditional generative adversarial network that makes up rows like those of a table.

A generator turns noise and a condition into a row; a critic tells made-up rows from real ones of
the same condition, several at a time, so that a generator that makes one row over and over is found
out. The loss is Wasserstein's with a penalty on the critic's gradient (Gulrajani et al. 2017, eq.
3); to judge rows in packs is from PacGAN (Lin et al. 2018), and tables as its subject from CTGAN
(Xu et al. 2019). Choices are drawn by Gumbel noise, so that gradients pass through them (Jang et
al. 2017).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from recommender.artifacts import pack, unpack
from recommender.simulators.tables import (
    Block,
    Column,
    Row,
    blocks_of,
    decode_rows,
    encode_rows,
    fit_column,
    width_of,
)

KIND = "table-gan"
PACK = 8  # rows that the critic judges together
CRITIC_STEPS = 2  # for each step of the generator
PENALTY = 10.0
TEMPERATURE = 0.2  # of the Gumbel draws: nearly a choice, and still smooth
LEARNING_RATE = 1e-3
AVERAGED = 0.995  # part of the average that each step leaves
LEAST_ROWS = 100


class GanFacts(msgspec.Struct):
    """What an artifact says beside its arrays."""

    columns: list[Column]
    conditions: list[Column]
    # Each combination of conditions that was seen, with how often.
    seen: list[tuple[list[Any], int]]
    noise: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GanSettings:
    """How large it is, and how long it learns."""

    epochs: int = 200
    batch: int = 256
    noise: int = 64
    width: int = 128

    def __post_init__(self) -> None:
        if self.batch % PACK or min(self.epochs, self.batch, self.noise, self.width) < 1:
            raise ValueError(f"All sizes must be above 0, and a batch a multiple of {PACK}.")


class TableGan:
    """Learns to make up rows; what is learned is plain arrays and facts."""

    def __init__(
        self, settings: GanSettings | None = None, *, seed: int = 0, device: str = "cpu"
    ) -> None:
        """Keep the settings; `seed` decides everything that is drawn while learning."""
        self.settings = settings or GanSettings()
        self.seed = seed
        self.device = torch.device(device)

    def fit(
        self,
        rows: Sequence[Row],
        *,
        condition_on: Sequence[str] = (),
        progress: Callable[[int], object] = lambda epoch: None,
    ) -> "TableGan":
        """Learn from rows; all have the same columns, and what a row lacks is missing.

        Args:
            rows: At least `LEAST_ROWS`.
            condition_on: Columns that a sample may be asked for with chosen values.
            progress: Told of each epoch that is over, from 1 on.

        Raises:
            ValueError: There are too few rows, or no such column to condition on.
        """
        if len(rows) < LEAST_ROWS:
            raise ValueError(f"To learn from takes {LEAST_ROWS} rows at least, not {len(rows)}.")
        names = list(dict.fromkeys(name for row in rows for name in row))
        if unknown := sorted(set(condition_on) - set(names)):
            raise ValueError(f"There is no column {', '.join(unknown)} to condition on.")
        fitted = {name: fit_column(name, [row.get(name) for row in rows]) for name in names}
        self.columns = [column for name, column in fitted.items() if name not in condition_on]
        self.conditions = [fitted[name] for name in condition_on]
        self.seen = Counter(tuple(row.get(name) for name in condition_on) for row in rows)
        if not self.columns:
            raise ValueError("Leave a column to make up.")
        x = torch.tensor(encode_rows(rows, self.columns), dtype=torch.float32)
        c = torch.tensor(encode_rows(rows, self.conditions), dtype=torch.float32)
        # Layers draw from the global generator, which is put back afterwards.
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self._learn(x.to(self.device), c.to(self.device), progress)
        return self

    def sample(
        self, n: int, *, seed: int, where: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Make up n rows; those of `where` have these values of conditions.

        Raises:
            ValueError: `where` names no condition, or a combination that was never seen.
        """
        rng = np.random.default_rng(seed)
        wanted = dict(where or {})
        names = [column.name for column in self.conditions]
        if unknown := sorted(set(wanted) - set(names)):
            raise ValueError(f"It was not learned to condition on {', '.join(unknown)}.")
        fitting = [
            (dict(zip(names, values, strict=True)), count)
            for values, count in self.seen.items()
            if all(dict(zip(names, values, strict=True))[k] == v for k, v in wanted.items())
        ]
        if not fitting:
            raise ValueError(f"No row was like {wanted}.")
        counts = np.array([count for _, count in fitting], dtype=np.float64)
        chosen = rng.choice(len(fitting), size=n, p=counts / counts.sum())
        given = [fitting[index][0] for index in chosen]
        c = torch.tensor(encode_rows(given, self.conditions), dtype=torch.float32)
        self.generator.eval()
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**63)))
            x = self._make(c.to(self.device), blocks_of(self.columns)).cpu().double().numpy()
        made = decode_rows(x, self.columns)
        return [{**condition, **row} for condition, row in zip(given, made, strict=True)]

    def to_bytes(self) -> bytes:
        """Write what was learned as a safetensors blob."""
        state = self.generator.state_dict()
        facts = GanFacts(
            columns=self.columns,
            conditions=self.conditions,
            seen=[(list(values), count) for values, count in self.seen.items()],
            noise=self.settings.noise,
            width=self.settings.width,
        )
        arrays = {name: np.atleast_1d(value.cpu().numpy()) for name, value in state.items()}
        return pack(arrays, kind=KIND, facts=facts)

    @classmethod
    def from_bytes(cls, blob: bytes, *, device: str = "cpu") -> "TableGan":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: The blob is damaged or holds something else.
        """
        # The names do not depend on sizes.
        names = tuple(Generator(1, 1, 1, width=1).state_dict())
        arrays, facts = unpack(blob, kind=KIND, names=names, facts=GanFacts)
        gan = cls(GanSettings(noise=facts.noise, width=facts.width), device=device)
        gan.columns, gan.conditions = facts.columns, facts.conditions
        gan.seen = Counter({tuple(values): count for values, count in facts.seen})
        gan.generator = gan._make_generator()
        shapes = gan.generator.state_dict()
        state = {
            name: torch.tensor(array).reshape(shapes[name].shape).to(shapes[name].dtype)
            for name, array in arrays.items()
        }
        gan.generator.load_state_dict(state)
        return gan

    def _make_generator(self) -> "Generator":
        generator = Generator(
            self.settings.noise,
            width_of(self.conditions),
            width_of(self.columns),
            width=self.settings.width,
        )
        return generator.to(self.device)

    def _learn(self, x: Tensor, c: Tensor, progress: Callable[[int], object]) -> None:
        settings, blocks = self.settings, blocks_of(self.columns)
        self.generator = self._make_generator()
        critic = _make_critic(PACK * (x.shape[1] + c.shape[1]), settings.width).to(self.device)
        optimisers = [
            torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=(0.5, 0.9))
            for network in (self.generator, critic)
        ]
        # The average over steps makes better rows than the last step does (Yazici et al. 2019).
        decay = get_ema_multi_avg_fn(AVERAGED)  # type: ignore[no-untyped-call]  # as torch has it
        averaged = AveragedModel(self.generator, multi_avg_fn=decay, use_buffers=True)
        batch = min(settings.batch, len(x) // PACK * PACK)
        for epoch in range(settings.epochs):
            for _ in range(max(1, len(x) // batch)):
                for _ in range(CRITIC_STEPS):
                    rows = torch.randint(len(x), (batch,)).to(self.device)
                    made = self._make(c[rows], blocks).detach()
                    _step(optimisers[1], _critic_loss(critic, x[rows], made, c[rows]))
                rows = torch.randint(len(x), (batch,)).to(self.device)
                made = self._make(c[rows], blocks)
                _step(optimisers[0], -critic(_packed(made, c[rows])).mean())
                averaged.update_parameters(self.generator)
            progress(epoch + 1)
        self.generator.load_state_dict(averaged.module.state_dict())

    def _make(self, c: Tensor, blocks: Sequence[Block]) -> Tensor:
        # Noise comes from the processor, so that a seed means the same on every device.
        noise = torch.randn(len(c), self.settings.noise).to(self.device)
        return _activate(self.generator(noise, c), blocks)


class Generator(nn.Module):
    """Turns noise and a condition into a row, not yet drawn."""

    def __init__(self, noise: int, condition: int, out: int, *, width: int) -> None:
        """Begin with random weights."""
        super().__init__()
        size = noise + condition
        self.first = nn.Sequential(nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU())
        self.second = nn.Sequential(
            nn.Linear(size + width, width), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.last = nn.Linear(size + 2 * width, out)

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Map (n, noise) and (n, condition) to (n, out); each layer sees all before it."""
        x = torch.cat([noise, condition], dim=1)
        x = torch.cat([x, self.first(x)], dim=1)
        x = torch.cat([x, self.second(x)], dim=1)
        out: Tensor = self.last(x)
        return out


def _make_critic(size: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(size, 2 * width), nn.LeakyReLU(0.2), nn.Dropout(0.25),
        nn.Linear(2 * width, width), nn.LeakyReLU(0.2), nn.Dropout(0.25),
        nn.Linear(width, 1),
    )  # fmt: skip


def _activate(raw: Tensor, blocks: Sequence[Block]) -> Tensor:
    """Draw the choices, nearly, and put ranks between -1 and 1."""
    parts = []
    for block in blocks:
        logits = raw[:, block.choices]
        uniform = torch.rand(logits.shape).clamp(1e-9, 1 - 1e-7)
        gumbel = -torch.log(-torch.log(uniform)).to(raw.device)
        parts.append(torch.softmax((logits + gumbel) / TEMPERATURE, dim=1))
        if block.rank is not None:
            parts.append(torch.tanh(raw[:, block.rank : block.rank + 1]))
    return torch.cat(parts, dim=1)


def _packed(x: Tensor, c: Tensor) -> Tensor:
    """Lay `PACK` rows side by side, (n, d) and (n, c) to (n / PACK, PACK (d + c))."""
    return torch.cat([x, c], dim=1).reshape(len(x) // PACK, -1)


def _critic_loss(critic: nn.Module, real: Tensor, made: Tensor, c: Tensor) -> Tensor:
    """Have real rows score higher than made-up ones, with gradients of norm 1 between them."""
    genuine, false = _packed(real, c), _packed(made, c)
    part = torch.rand(len(genuine), 1).to(real.device)
    between = (part * genuine + (1 - part) * false).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = ((gradient.norm(dim=1) - 1) ** 2).mean()
    loss: Tensor = critic(false).mean() - critic(genuine).mean() + PENALTY * penalty
    return loss


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch declares no types here
    optimiser.step()
