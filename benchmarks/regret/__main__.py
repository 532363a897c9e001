"""Regret of our bandits in seven worlds, beside other people's as they come or tuned.

    .venv/bin/python -m benchmarks.regret [--seeds 20] [--worlds few] [--peers "MABWiser LinTS"]
    .venv/bin/python -m benchmarks.regret --tuned

Everybody meets the same 20,000 customers in batches of 500 and learns between batches. The promises
for our default: at most 1.05 times the regret of the best peer, never more than 1.2 times that of
taking the favourite alone, and .7 times that where only trying tells (`few`). There one unlucky
batch may cost ten times the usual, so that ten times as many worlds are played. Nothing is promised
for `crossed`, where no linear bandit sees what matters. With `--tuned` everybody's settings are
tried in as many worlds (`tuning.py`), and the best of each package is played in twice as many other
ones. It takes some twenty minutes of one core, and twice that with `--tuned`.
"""

import argparse
import os

# Before numpy: matrices this small gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.clients import ask
from benchmarks.regret.ours import OURS, Player, make_player, play
from benchmarks.regret.tuning import OURS as OUR_SETTINGS
from benchmarks.regret.tuning import THEIRS as THEIR_SETTINGS
from benchmarks.regret.tuning import (
    US,
    best_of_each,
    learns_rates,
    means,
    not_far_behind,
    package,
    ratio_with_interval,
)
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
SEED = 2026
UNPROMISED = "crossed"
TIMES = {"few": 10}  # as many seeds as elsewhere
BEST_PEER, GREEDY, EXPLORING = 1.05, 1.2, 0.7
TOGETHER = 10  # worlds in memory
TRIED, OTHERS = 4, 2  # the first quarter shows who is far behind; so many more are played after


def play_worlds(
    name: str, seeds: range, *, ours: Mapping[str, Player], peers: Sequence[str]
) -> list[dict[str, float]]:
    """Return everybody's regret in some worlds of a kind."""
    runs = []
    for first in range(seeds.start, seeds.stop, TOGETHER):
        some = range(first, min(first + TOGETHER, seeds.stop))
        worlds = [WORLDS[name](np.random.default_rng((SEED, seed))) for seed in some]
        theirs = play_peers(worlds, peers=peers, first_seed=first)
        for seed, world, their in zip(some, worlds, theirs, strict=True):
            mine = {
                label: world.regret(play(player, world, seed=seed))
                for label, player in ours.items()
                if player.kind not in RATE_KINDS or world.is_rewarded_or_not
            }
            runs.append(mine | their)
    return runs


def play_peers(
    worlds: Sequence[World], *, peers: Sequence[str], first_seed: int
) -> Iterator[dict[str, float]]:
    """Give each peer's regret in each world, of seeds in a row."""
    asked = [p for p in peers if worlds[0].is_rewarded_or_not or not learns_rates(p)]
    if not asked:
        return iter([{} for _ in worlds])
    with tempfile.TemporaryDirectory(prefix="offerlab-regret-") as directory:
        paths = [Path(directory) / f"{place}.npz" for place in range(len(worlds))]
        for path, world in zip(paths, worlds, strict=True):
            np.savez(path, x=world.x, reward=world.reward, delay=world.delay)
        question = {
            "worlds": list(map(str, paths)),
            "first_seed": first_seed,
            "batch": BATCH,
            "peers": asked,
        }
        answers = ask(
            Path(__file__).with_name("peers_python.py"), question, python=PACKAGES, node={}
        )
    return (
        {name: world.regret(np.array(answer[name])) for name in asked}
        for world, answer in zip(worlds, answers, strict=True)
    )


def main() -> None:
    """Play, print the table and say which promises are kept."""
    parser = argparse.ArgumentParser(description="Regret of our bandits beside other people's.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--tuned", action="store_true")
    asked = parser.parse_args()
    print("Mean regret and its standard error:")
    for name in asked.worlds.split(","):
        seeds = TIMES.get(name, 1) * asked.seeds
        if asked.tuned:
            tune(name, seeds)
        else:
            compare(name, seeds, peers=[peer for peer in asked.peers.split(",") if peer])


def compare(name: str, seeds: int, *, peers: Sequence[str]) -> None:
    """Play everybody as they come."""
    runs = play_worlds(name, range(seeds), ours=OURS, peers=peers)
    print(f"\n{name}, {len(runs)} seeds: {WORLDS[name].__doc__}")
    print_runs(runs)
    if name != UNPROMISED:
        print_promises(name, means(runs), peers)


def tune(name: str, seeds: int) -> None:
    """Try settings in some worlds, and play the best of each package in others."""
    quarter = -(-seeds // TRIED)
    ours = {label: make_player(label) for label in OUR_SETTINGS}
    tried = play_worlds(name, range(quarter), ours=ours, peers=THEIR_SETTINGS)
    print(f"\n{name}, all settings, {quarter} seeds:")
    print_runs(tried)
    kept = not_far_behind(tried)
    tried += play_worlds(
        name,
        range(quarter, seeds),
        ours={label: ours[label] for label in kept if label in ours},
        peers=[label for label in kept if label not in ours],
    )
    print(f"{name}, those not far behind, {seeds} seeds:")
    print_runs(tried)
    best = best_of_each(tried)
    confirmed = play_worlds(
        name,
        range(seeds, (1 + OTHERS) * seeds),
        ours={best[US]: ours[best[US]]} | {"as it comes": OURS["default"]},
        peers=[label for label in best.values() if label not in ours],
    )
    print(f"{name}, the best of each package in {len(confirmed)} other worlds:")
    print_runs(confirmed)
    for theirs in (label for label in best.values() if package(label) != US):
        ratio, low, high = ratio_with_interval(
            *(np.array([run[label] for run in confirmed]) for label in (best[US], theirs)),
            rng=np.random.default_rng(SEED),
        )
        print(f"  {ratio:.3f} ({low:.3f} to {high:.3f}) times the regret of {theirs}", flush=True)


def print_runs(runs: Sequence[dict[str, float]]) -> None:
    """Print the regret of those who have played to the end."""
    for label, value in means(runs).items():
        error = np.std([run[label] for run in runs], ddof=min(1, len(runs) - 1)) / len(runs) ** 0.5
        print(f"  {label:<64}{value:>9.1f} ± {error:.1f}", flush=True)


def print_promises(name: str, mean: Mapping[str, float], peers: Sequence[str]) -> None:
    """Say what was promised of the default in one world."""
    default, greedy = mean["default"], mean["greedy"]
    most = EXPLORING if name == "few" else GREEDY
    print(f"  the default has {default / greedy:.2f} times the greedy regret ({most:g} allowed)")
    if peers:
        best = min(peers, key=mean.__getitem__)
        ratio = default / mean[best]
        print(f"  and {ratio:.2f} times that of {best} ({BEST_PEER:g} allowed)", flush=True)


if __name__ == "__main__":
    main()
