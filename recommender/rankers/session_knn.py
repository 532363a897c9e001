"""Rank by the sessions that were most like this one, near in time and in place (VSTAN)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from recommender.arrays import FloatArray, IntArray, ScoreArray, SparseArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.interactions.sessions import cut_sessions
from recommender.rankers.base import DAY_SECONDS, Between, Ranker
from recommender.rankers.sparse_rows import marks, rows_of, scale_rows, strongest


@dataclass(kw_only=True, eq=False)
class SessionKnn(Ranker):
    """Nearest sessions, with the weights of STAN and VSTAN (Ludewig et al. 2021, sec. 3).

    Another session s is as like the current one c as the sum over shared items of
    exp(-age in c / `fading`), over the root of both lengths, times exp(-days between / `days`). An
    item n places from the shared item that is newest in c then counts that times
    exp(-n / `nearness`), and more if it is rare.

    Attributes:
        neighbours: How many sessions are listened to.
        fading: How many events back in the current session count a third.
        nearness: How many places away in the other session count a third.
        days: How many days between sessions make them count a third; 0 for any time alike.
        rarity: How much an item's ln(sessions / its sessions) counts.
        gap_minutes: A longer pause begins a new session; where times are unknown none does.
        sessions: The weights of items in each session, shape (s, n_items).
        starts: Where each session's items begin in `items`, shape (s + 1,).
        items: Items of all sessions, oldest first.
        ended: When each session ended, in seconds, shape (s,).
        rare: ln(sessions / its sessions) of each item, shape (n_items,).
    """

    searched: ClassVar[Mapping[str, Between]] = {
        "neighbours": Between(50, 1000, is_log=True),
        "fading": Between(0.5, 10.0, is_log=True),
        "nearness": Between(0.5, 10.0, is_log=True),
        "rarity": Between(0.0, 1.0),
    }
    neighbours: int = 200
    fading: float = 3.0
    nearness: float = 3.0
    days: float = 0.0
    rarity: float = 0.1
    gap_minutes: float = 0.0
    sessions: SparseArray = field(init=False, repr=False)
    starts: IntArray = field(init=False, repr=False)
    items: IntArray = field(init=False, repr=False)
    ended: FloatArray = field(init=False, repr=False)
    rare: ScoreArray = field(init=False, repr=False)

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Remember every session of two events or more."""
        cut = self._cut(histories)
        long = cut.of_customers(np.flatnonzero(cut.lengths > 1))
        met = marks(long.profiles())
        self.sessions = scale_rows(met, np.maximum(long.lengths, 1) ** -0.5)
        self.starts, self.items = long.starts, long.items
        self.ended = long.times[long.starts[1:] - 1]
        appear = np.bincount(met.indices, minlength=histories.n_items)
        self.rare = np.log(max(len(long), 1) / np.maximum(appear, 1)).astype(np.float32)
        return self

    def score(self, histories: Histories) -> ScoreArray:
        """Let the nearest sessions speak, one customer after the other."""
        current = self._current(histories)
        profiles = current.profiles(decay=float(np.exp(-1 / self.fading)))  # (n, n_items)
        alike = (profiles @ self.sessions.T).tocsr()  # (n, s)
        if self.days:
            ends = np.array([current.times[end - 1] if end else 0.0 for end in current.starts[1:]])
            between = np.abs(ends[rows_of(alike)] - self.ended[alike.indices]) / DAY_SECONDS
            alike.data = (alike.data * np.exp(-between / self.days)).astype(np.float32)
        near = strongest(alike, self.neighbours)
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        for row in range(len(histories)):
            part = slice(near.indptr[row], near.indptr[row + 1])
            scores[row] = self._say(
                near.indices[part].astype(np.int64), near.data[part], current.items_of(row)
            )
        return scores * (1 + np.float32(self.rarity) * self.rare)

    def _say(self, sessions: IntArray, alike: ScoreArray, current: IntArray) -> ScoreArray:
        """Add up what some sessions say after the items of the current one."""
        n_items = len(self.rare)
        lengths = self.starts[sessions + 1] - self.starts[sessions]
        first = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) - np.repeat(first, lengths)
        items = self.items[np.repeat(self.starts[sessions], lengths) + places]
        age = np.full(n_items, len(current), dtype=np.int64)  # how long ago in the current one
        age[current] = np.arange(len(current))[::-1]
        if not len(items):
            return np.zeros(n_items, dtype=np.float32)
        newest = np.minimum.reduceat(age[items], first)  # (k,)
        shared = np.where(age[items] == np.repeat(newest, lengths), places, -1)
        meeting = np.maximum.reduceat(shared, first)  # (k,) the place of the newest shared item
        away = np.abs(places - np.repeat(meeting, lengths))
        weights = np.repeat(alike, lengths) * np.exp(-away / self.nearness)
        return np.bincount(items, weights=weights, minlength=n_items).astype(np.float32)

    def _cut(self, histories: Histories) -> Histories:
        """Make every session a history of its own."""
        return (
            cut_sessions(histories, gap_minutes=self.gap_minutes) if self.gap_minutes else histories
        )

    def _current(self, histories: Histories) -> Histories:
        """Keep everybody's last session."""
        cut = self._cut(histories)
        last = np.repeat(np.isin(cut.starts[1:], histories.starts[1:]), cut.lengths)
        return histories.where(last)
