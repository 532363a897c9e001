"""CPU time of our rankers beside implicit, bare numpy and RecTools, one thread each.

    .venv/bin/python -m benchmarks.ranking_peers amazon_beauty_5core.txt.gz [--rounds 3] [--simple]

implicit and RecTools, which pins an older numpy, are installed unmodified in environments of their
own. Learning and everybody's list of ten are timed of item-kNN and ALS against implicit, whose
loops are C++, and of EASE against the few lines of numpy that it was published as, on a million
drawn ratings of the size of MovieLens-1M. Rankers are asked with histories: our ALS solves for
whoever asks, and so does implicit's for *lists* (`recalculate_user`). *Lists of known* are what it
makes with factors that it kept of the customers it learned from, which ours never keeps. Both take
15 turns; the loss that is left with the items of either says what these were worth.

An epoch of our transformer is timed against one of RecTools' SASRec with as many numbers, blocks,
heads, items that are read and histories in a batch, on Amazon Beauty: with its own softmax over all
items, and with 256 negatives. It fills up all histories to one length, and we put those of like
length together; twice as fast is promised; `--simple` leaves this out. Rounds alternate,
and ratios are medians of theirs to ours: above 1, ours is faster.
"""

import argparse
import gzip
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.clients import ask
from benchmarks.rank_speed import draw_histories
from recommender.arrays import ScoreArray
from recommender.interactions.files import read_sequences
from recommender.interactions.histories import Histories
from recommender.rankers.als import Als
from recommender.rankers.base import Ranker
from recommender.rankers.ease import Ease
from recommender.rankers.item_knn import ItemKnn
from recommender.rankers.regressions import Common, Regressions
from recommender.rankers.transformer import Transformer
from recommender.training.epochs import Descent, Plan

IMPLICIT = ["implicit==0.7.3", "scipy==1.17.1", "numpy==2.4.6"]
RECTOOLS = ["rectools[torch]==0.19.0"]
SHOWN, NEIGHBOURS, FACTORS, TURNS, ALPHA, PENALTY = 10, 200, 64, 15, 10.0, 1.0
SOLVING_STEPS = 30
NETWORK = {"size": 64, "blocks": 2, "heads": 2, "length": 50, "batch": 128}
LOSSES = {"softmax": 1, "sampled_softmax": 256}
PROMISED = 2.0
EPOCHS = 2

Times = dict[str, dict[str, float]]


def make_rankers() -> dict[str, Ranker]:
    """Make ours with the settings of the others."""
    return {
        "item-kNN": ItemKnn(neighbours=NEIGHBOURS, shrinkage=0.0),
        "ALS": Als(factors=FACTORS, turns=TURNS, alpha=ALPHA, penalty=PENALTY),
        "EASE": Ease(),
    }


def time_ours(histories: Histories, rankers: Mapping[str, Ranker]) -> Times:
    """Time learning and everybody's lists once."""
    times = {}
    for name, ranker in rankers.items():
        begun = time.process_time()
        ranker.fit(histories)
        fitted = time.process_time()
        ranker.recommend(histories, k=SHOWN)
        times[name] = {"fit": fitted - begun, "lists": time.process_time() - fitted}
    return times


def time_epoch(histories: Histories) -> float:
    """Time an epoch of the transformer, after one to warm up."""
    ranker = Transformer(**NETWORK)
    network = ranker.make(n_items=histories.n_items)
    plan = Plan(epochs=EPOCHS + 1, patience=EPOCHS + 1, rate=ranker.rate, seed=0)
    descent = Descent(ranker.task(network, histories), plan)
    descent.run_epoch(0)
    begun = time.process_time()
    for epoch in range(EPOCHS):
        descent.run_epoch(1 + epoch)
    return (time.process_time() - begun) / EPOCHS


def compare_simple(histories: Histories, *, path: Path, rounds: int) -> None:
    """Print what learning and listing cost us and others."""
    question: dict[str, Any] = {
        "histories": str(path),
        "n_items": histories.n_items,
        "shown": SHOWN,
        "neighbours": NEIGHBOURS,
        "factors": FACTORS,
        "turns": TURNS,
        "alpha": ALPHA,
        "learned": str(path.with_suffix(".npy")),
    }
    program = Path(__file__).with_name("implicit_python.py")
    ours, theirs = [], []
    rankers = make_rankers()
    for _ in range(rounds):
        ours.append(time_ours(histories, rankers))
        theirs.append(ask(program, question, python=IMPLICIT, node={}))
    print(f"{len(histories.items):,} drawn ratings of {len(histories):,} customers, CPU seconds:")
    for name in ours[0]:
        for what in theirs[0][name]:
            other = [each[name][what] for each in theirs]
            mine = [each[name][what.split()[0]] for each in ours]
            peer = "numpy" if name == "EASE" else "implicit"
            print(
                f"  {name:9} {what:14} ours {np.median(mine):6.2f}  {peer:9} "
                f"{np.median(other):6.2f}  ratio {middle_ratio(other, mine):.2f}"
            )
    als = rankers["ALS"]
    assert isinstance(als, Als)
    learned = {"ours": als.items, "implicit": np.load(question["learned"])}
    for name, items in learned.items():
        print(f"  loss left by ALS, {name}: {loss_left(histories, items):,.0f}", flush=True)


def loss_left(histories: Histories, items: ScoreArray) -> float:
    """Return what ALS minimises, with everybody's best factors for these of the items."""
    confidence = histories.profiles() * np.float32(ALPHA)
    nothing = np.zeros((len(histories), FACTORS), dtype=np.float32)
    common = Common.of(items, penalty=PENALTY)
    solved = Regressions.of(confidence).solve(items, nothing, common, steps=SOLVING_STEPS)
    x, y = solved.astype(np.float64), items.astype(np.float64)
    c = confidence.toarray()  # (n, n_items), small enough here
    guessed = x @ y.T
    loss = (np.where(c > 0, c * (1 - guessed) ** 2, guessed**2)).sum()
    return float(loss + PENALTY * ((x**2).sum() + (y**2).sum()))


def compare_networks(histories: Histories, *, path: Path, rounds: int) -> bool:
    """Print what an epoch costs us and RecTools; return whether the promise is kept."""
    program = Path(__file__).with_name("rectools_python.py")
    question = NETWORK | {"histories": str(path), "losses": LOSSES}
    ours: list[float] = []
    theirs: list[Mapping[str, float]] = []
    for _ in range(rounds):
        ours.append(time_epoch(histories))
        theirs.append(ask(program, question, python=RECTOOLS, node={}))
    print(f"An epoch on {len(histories.items):,} events of {len(histories):,} customers:")
    ratios = []
    for loss in LOSSES:
        other = [each[loss] for each in theirs]
        ratios.append(middle_ratio(other, ours))
        print(
            f"  RecTools' SASRec, {loss:16} {np.median(other):6.1f} s, our transformer "
            f"{np.median(ours):.1f} s: {ratios[-1]:.2f} times as fast ({PROMISED:g} promised)"
        )
    return min(ratios) >= PROMISED


def middle_ratio(others: list[float], ours: list[float]) -> float:
    """Return the median over rounds of another's time to ours."""
    return float(np.median(np.array(others) / np.array(ours)))


def save(path: Path, histories: Histories) -> None:
    """Write what other programs read."""
    np.savez(path, starts=histories.starts, items=histories.items)


def main() -> int:
    """Measure, and return 1 if the promise is not kept."""
    parser = argparse.ArgumentParser(description="Our rankers beside other people's.")
    parser.add_argument("sequences", type=Path, help="Amazon Beauty, a customer in each line")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--simple", action="store_true", help="leave the networks out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with gzip.open(given.sequences, "rt") as file:
        beauty = read_sequences(file).histories
    drawn = draw_histories(np.random.default_rng(0))
    with tempfile.TemporaryDirectory(prefix="offerlab-rankers-") as directory:
        paths = Path(directory) / "drawn.npz", Path(directory) / "beauty.npz"
        save(paths[0], drawn)
        save(paths[1], beauty)
        compare_simple(drawn, path=paths[0], rounds=given.rounds)
        is_kept = given.simple or compare_networks(beauty, path=paths[1], rounds=given.rounds)
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
