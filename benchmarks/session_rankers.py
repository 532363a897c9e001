"""Rankers within sessions: what comes next, of all items, as published comparisons ask it.

    python -m benchmarks.session_rankers events.csv [--days 2] [--gap 30] [--events view]

The file is a table of visitor, item and time, such as RetailRocket's `events.csv`. Sessions end
with a pause; those of the last days are asked for, step by step, and all before are learned from
(`recommender/interactions/sessions.py`). What was met in the session may be shown again, as
published comparisons have it; beside that stands what lists are worth that show new items only, as
ours do. Of RetailRocket, over five stretches of 27 days, Ludewig et al. (2021) print MRR@20 / HR@20
of .245 / .417 for a Markov chain, .324 / .567 for GRU4Rec, and .364 / .593 for VSTAN, whose weights
our session kNN has.
"""

import argparse
import gzip
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from recommender.interactions.files import read_table
from recommender.interactions.sessions import next_in_session
from recommender.judging.judge import interval, judge
from recommender.rankers import make_ranker
from recommender.rankers.base import DAY_SECONDS

CUT = 20
# Least sessions in which an item is met, as in published comparisons.
LEAST_MET = 5

RANKERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("popularity", "popularity", {}),
    ("item-kNN", "item_knn", {}),
    ("last item alone", "markov", {"last": 1, "lags": 1, "shrinkage": 0.5}),
    ("Markov", "markov", {}),
    ("session kNN", "session_knn", {"neighbours": 500}),
    ("with days", "session_knn", {"neighbours": 500, "days": 20.0}),
)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Rankers within sessions.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--days", type=float, default=2.0, help="that are asked for")
    parser.add_argument("--gap", type=float, default=30.0, help="minutes that end a session")
    parser.add_argument("--events", default="", help="which kinds count, between commas; else all")
    given = parser.parse_args()
    kinds = dict.fromkeys(filter(None, given.events.split(",")), 1.0)
    path: Path = given.table
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        histories = read_table(file, weights=kinds or None).histories
    often = np.bincount(histories.items, minlength=histories.n_items) >= LEAST_MET
    histories = histories.where(often[histories.items])
    moment = float(histories.times.max()) - given.days * DAY_SECONDS
    split = next_in_session(histories, moment, gap_minutes=given.gap)
    print(
        f"{path.name}, {split.name}: {len(split.learned):,} sessions learned from, "
        f"{len(split.asked):,} steps asked for among {histories.n_items:,} items"
    )
    print(f"{'ranker':18} {'MRR@20 with 95% interval':24}  HR@20   MRR new HR new   fit s  ask s")
    for name, kind, settings in RANKERS:
        begun = time.process_time()
        ranker = make_ranker(kind, settings).fit(split.learned)
        fitted = time.process_time()
        judged = judge(ranker, split, k=CUT, seen_too=True)
        asked = time.process_time()
        new = judge(ranker, split, k=CUT).means
        mrr = interval(judged.each[f"mrr@{CUT}"], rng=np.random.default_rng(1))
        print(
            f"{name:18} {mrr.mean:.4f} [{mrr.low:.4f}, {mrr.high:.4f}]  "
            f"{judged.means[f'recall@{CUT}']:.4f}  {new[f'mrr@{CUT}']:.4f}  "
            f"{new[f'recall@{CUT}']:.4f}  {fitted - begun:6.1f} {asked - fitted:5.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
