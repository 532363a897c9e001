"""Regret of our bandits in seven worlds, beside other people's as they come.

    .venv/bin/python -m benchmarks.regret [--seeds 20] [--worlds few] [--peers "MABWiser LinTS"]
    .venv/bin/python -m benchmarks.regret --tuned

Everybody meets the same 20,000 customers in batches of 500 and learns between batches. The promises
for our default: at most 1.05 times the regret of the best peer, never more than 1.2 times that of
taking the favourite alone, and .7 times that where only trying tells (`few`). There one unlucky
batch may cost ten times the usual, so that ten times as many worlds are played. Nothing is promised
for `crossed`, where no linear bandit sees what matters. With `--tuned` our default and the two
peers that take a width of exploration play each of some widths, and the best of either are held
against one another, as they turn out in hindsight. With every peer and 20 seeds it takes hours,
nearly all of them Vowpal Wabbit's.
"""

import argparse
import os

# Before numpy: matrices this small gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.clients import ask
from benchmarks.regret.ours import OURS, TUNED, play
from benchmarks.regret.worlds import BATCH, WORLDS, World
from recommender.bandits import RATE_KINDS

PACKAGES = [
    "mabwiser==2.7.4",
    "bayesianbandits==1.5.0",
    "vowpalwabbit==9.11.9",
    "contextualbandits==0.3.30",
]
PEERS = [
    "bayesianbandits",
    "MABWiser LinTS",
    "MABWiser LinUCB",
    "contextualbandits",
    "VW squarecb",
]
# What their names tell after @ is the width.
TUNED_PEERS = [f"MABWiser LinTS @ {width:g}" for width in (0.03, 0.1, 0.3)] + [
    f"MABWiser LinUCB @ {width:g}" for width in (0.1, 0.3, 1.0)
]
SEED = 2026
UNPROMISED = "crossed"
TIMES = {"few": 10}  # as many seeds as elsewhere
BEST_PEER, GREEDY, EXPLORING = 1.05, 1.2, 0.7


def play_peers(worlds: Sequence[World], *, peers: Sequence[str]) -> list[dict[str, float]]:
    """Return each peer's regret in each world, whose place is the seed."""
    if not peers:
        return [{} for _ in worlds]
    with tempfile.TemporaryDirectory(prefix="offerlab-regret-") as directory:
        paths = [Path(directory) / f"{seed}.npz" for seed in range(len(worlds))]
        for path, world in zip(paths, worlds, strict=True):
            np.savez(path, x=world.x, reward=world.reward, delay=world.delay)
        answers = ask(
            Path(__file__).with_name("peers_python.py"),
            {"worlds": list(map(str, paths)), "batch": BATCH, "peers": list(peers)},
            python=PACKAGES,
            node={},
        )
    return [
        {name: world.regret(np.array(answer[name])) for name in peers}
        for world, answer in zip(worlds, answers, strict=True)
    ]


def main() -> None:
    """Play, print the table and say which promises are kept."""
    parser = argparse.ArgumentParser(description="Regret of our bandits beside other people's.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--tuned", action="store_true")
    asked = parser.parse_args()
    players = TUNED if asked.tuned else OURS
    peers = TUNED_PEERS if asked.tuned else [name for name in asked.peers.split(",") if name]
    print("Mean regret and its standard error:")
    for name in asked.worlds.split(","):
        worlds = [
            WORLDS[name](np.random.default_rng((SEED, seed)))
            for seed in range(TIMES.get(name, 1) * asked.seeds)
        ]
        runs = [
            {
                label: world.regret(play(p, world, seed=seed))
                for label, p in players.items()
                if p.kind not in RATE_KINDS or world.is_rewarded_or_not
            }
            | {"uniform": float((world.mean.max(axis=1) - world.mean.mean(axis=1)).sum())}
            for seed, world in enumerate(worlds)
        ]
        theirs = play_peers(worlds, peers=peers)
        mean = print_world(name, [ours | their for ours, their in zip(runs, theirs, strict=True)])
        if asked.tuned:
            print_tuned(mean, peers)
        elif name != UNPROMISED:
            print_promises(name, mean, peers)


def print_world(name: str, runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Print everybody's regret in one world, and return the means."""
    mean = {label: float(np.mean([run[label] for run in runs])) for label in runs[0]}
    print(f"\n{name}, {len(runs)} seeds: {WORLDS[name].__doc__}", flush=True)
    for label, value in sorted(mean.items(), key=lambda item: item[1]):
        error = np.std([run[label] for run in runs], ddof=min(1, len(runs) - 1)) / len(runs) ** 0.5
        print(f"  {label:<24}{value:>9.1f} ± {error:.1f}", flush=True)
    return mean


def print_promises(name: str, mean: Mapping[str, float], peers: Sequence[str]) -> None:
    """Say what was promised of the default in one world."""
    default, greedy = mean["default"], mean["greedy"]
    most = EXPLORING if name == "few" else GREEDY
    print(f"  the default has {default / greedy:.2f} times the greedy regret ({most:g} allowed)")
    if peers:
        best = min(peers, key=mean.__getitem__)
        ratio = default / mean[best]
        print(f"  and {ratio:.2f} times that of {best} ({BEST_PEER:g} allowed)", flush=True)


def print_tuned(mean: Mapping[str, float], peers: Sequence[str]) -> None:
    """Hold the best width of ours against the best of theirs."""
    ours, theirs = min(TUNED, key=mean.__getitem__), min(peers, key=mean.__getitem__)
    ratio = mean[ours] / mean[theirs]
    print(f"  {ours} has {ratio:.2f} times the regret of {theirs} ({BEST_PEER:g} allowed)")


if __name__ == "__main__":
    main()
