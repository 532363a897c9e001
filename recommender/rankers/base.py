"""Say what every ranker learns from, and what it can be asked."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recommender.arrays import BoolArray, FloatArray, ScoreArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.slates import Slates, best

# So many rows of scores are in memory at once.
CUSTOMERS_AT_ONCE = 1024
DAY_SECONDS = 86_400.0


def tell_nobody(part: float) -> None:
    """Take a report that nobody waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingContext:
    """Where a long training takes place, and with what.

    Attributes:
        checkpoint: A file to keep what it has learned so far in, and to go on from after it was
            killed; the caller removes it. None keeps nothing.
        device: Where to compute: `cpu` or `cuda`.
        report: Is told from time to time which part is done.
        events: A folder for TensorBoard's event files, if anybody wants them.
        sentence_model: The folder of the model that reads sentences, if there is one.
    """

    checkpoint: Path | None = None
    device: str = "cpu"
    report: Callable[[float], None] = tell_nobody
    events: Path | None = None
    sentence_model: str = ""

    def within(self, name: str, *, begin: float, end: float) -> "TrainingContext":
        """Return the context of one training of several, which is a stretch of the whole."""
        kept, events, report = self.checkpoint, self.events, self.report
        return TrainingContext(
            checkpoint=None if kept is None else kept.with_stem(f"{kept.stem}-{name}"),
            device=self.device,
            report=lambda part: report(begin + (end - begin) * part),
            events=None if events is None else events / name,
            sentence_model=self.sentence_model,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """What an item's score is owed to.

    Attributes:
        events: To each item of a history, shape (h,).
        words: To what is said of the item, by the word's number.
        price: To its price.
        own: To the item itself: what was learned of it and has no other name.
    """

    events: FloatArray
    words: Mapping[int, float] = field(default_factory=dict)
    price: float = 0.0
    own: float = 0.0


@dataclass(frozen=True, slots=True)
class Between:
    """Where the best value of a setting may lie, for who searches it.

    Attributes:
        low: The least.
        high: The greatest.
        is_log: Whether it is searched by its logarithm.
        step: How far whole numbers are apart.
    """

    low: float
    high: float
    is_log: bool = False
    step: int = 1


@dataclass(kw_only=True, eq=False)
class Ranker(ABC):
    """Orders all items for a customer by what that customer did so far.

    A ranker is asked with histories and never with customers' numbers: whoever did the same gets
    the same, and somebody who came after it had learned is served as well. Its settings are the
    fields that are given to it; what it learned are the others.
    """

    needs_facts: ClassVar[bool] = False
    # Settings that are worth searching; others are matters of cost, or of taste.
    searched: ClassVar[Mapping[str, Between]] = {}
    context = TrainingContext()  # not annotated, so neither a setting nor learned

    @abstractmethod
    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Learn from histories, and from facts about the items if it looks at them.

        Raises:
            ValueError: It needs facts and there are none.
        """

    @abstractmethod
    def score(self, histories: Histories) -> ScoreArray:
        """Score all items for each history, shape (n, n_items): more is better."""

    def prepare(self, context: TrainingContext) -> None:
        """Say where it learns, and with what, before `fit`; most rankers learn in seconds."""
        self.context = context

    def recommend(
        self,
        histories: Histories,
        *,
        k: int,
        allowed: BoolArray | None = None,
        seen_too: bool = False,
    ) -> Slates:
        """Find everybody's best k items among all.

        Args:
            histories: What the customers did so far.
            k: How many items at most.
            allowed: Which items may be shown, shape (n_items,); all if None.
            seen_too: Whether what is in a history may be shown again.
        """
        batches = []
        for some in histories.batches(CUSTOMERS_AT_ONCE):
            scores = self.score(some)
            if not seen_too:
                scores.put(some.customers * some.n_items + some.items, -np.inf)
            if allowed is not None:
                scores[:, ~allowed] = -np.inf
            batches.append(best(scores, k=k))
        empty = Slates(np.empty((0, k), np.int64), np.empty((0, k), np.float32))
        return Slates(
            items=np.concatenate([empty.items, *(each.items for each in batches)]),
            scores=np.concatenate([empty.scores, *(each.scores for each in batches)]),
        )

    def similar(self, item: int, *, n_items: int, k: int) -> Slates:
        """Find what goes with one item: what somebody is shown who only met this one."""
        return self.recommend(Histories.of([[item]], n_items=n_items), k=k)

    def explain(self, items: Sequence[int], item: int, *, n_items: int) -> FloatArray:
        """Say how much of an item's score is owed to each item of a history, shape (h,).

        It is what the score would lack without that event, which holds for every kind of ranker
        and is its own weight where scores are sums over the history.
        """
        every = list(items)
        lacking = [every[:i] + every[i + 1 :] for i in range(len(every))]
        scores = self.score(Histories.of([every, *lacking], n_items=n_items))[:, item]
        owed: FloatArray = (scores[0] - scores[1:]).astype(np.float64)
        return owed

    def attribute(self, items: Sequence[int], item: int, *, n_items: int) -> Attribution:
        """Say what an item's score is owed to, after a history; most look at events alone."""
        return Attribution(events=self.explain(items, item, n_items=n_items))

    def settings(self) -> dict[str, Any]:
        """Return what it was made with."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.init}


def check_settings(kind: type[Ranker], settings: object) -> dict[str, Any]:
    """Return settings from a form or from JSON if this kind of ranker takes them.

    Raises:
        ValueError: One is unknown, or no finite number of the right sign; in a user's words.
    """
    if not isinstance(settings, dict):
        raise ValueError("Write a ranker's settings as an object of names and numbers.")
    known: dict[str, Any] = {each.name: each.default for each in fields(kind) if each.init}
    unknown = sorted(map(str, set(settings) - set(known)))
    if unknown:
        raise ValueError(f"Unknown settings: {', '.join(unknown)}; use {', '.join(known)}.")
    for name, value in settings.items():
        default = known[name]
        if isinstance(default, tuple):
            continue  # members of a blend, which are checked where they are made
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} must be a number, not {value!r}.")
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and at least 0, not {value}.")
        if isinstance(default, int) and value != int(value):
            raise ValueError(f"{name} must be a whole number, not {value}.")
    # A whole number may have come as 3.0.
    kinds = {name: type(default) for name, default in known.items()}
    return {name: kinds[name](value) for name, value in settings.items()}
