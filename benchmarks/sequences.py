"""What looking ahead earns where shoppers tire, and whether its estimate off the log holds.

    python -m benchmarks.sequences [--worlds 20]

Each world is a season of `recommender/simulators/fatigue.py` with seeds of its own: 20 days, 2,000
shoppers a round, three rounds. In the first all offers, and nothing, come equally often; after it
every policy learns from its own log. Policies are the sequential one, and the default bandit twice:
on the shopper's segment alone, and on all that the sequential one sees. What they are worth at last
is computed from the season's formula for 5,000 other shoppers each, late rewards faded as the
policy fades them.

Then the sequential policy's value over 10 days, as of its third version, is estimated from 4,000
shoppers held back under its second version, which it never learned from, and held against its true
value for 20,000 others.
"""

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from tqdm import tqdm

from recommender.bandits import load_bandit
from recommender.bandits.base import Hyperparameters, StepReader, Steps
from recommender.offpolicy.counterfactuals import LEARNED
from recommender.offpolicy.sequence_values import SequenceLog, judge_sequences, sequence_targets
from recommender.offpolicy.sequences import per_decision_ips
from recommender.offpolicy.values import PolicyValue, Withheld
from recommender.simulators.fatigue import (
    NOTHING,
    Chooses,
    Played,
    Season,
    Seen,
    always,
    evenly,
    play,
    rested,
    value_of,
)
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds

SHOPPERS, ROUNDS, OTHERS = 2_000, 3, 5_000
JUDGED_DAYS, HELD_BACK, TRUTH = 10, 4_000, 20_000
AHEAD = 15.0
FADE = float(np.exp(-1.0 / AHEAD))
FLOOR, JUDGING_FLOOR = 0.01, 0.05
SEQUENTIAL = "sequential"
DEFAULT, DEFAULT_SEEING = "default on the segment", "default on what sequential sees"


def choose_by(odds: Odds, *, floor: float) -> Chooses:
    """Let a version decide, with a floor of its own."""
    floored = replace(odds, floor=floor)

    def choose(seen: Seen) -> np.ndarray:
        x = seen.encode(floored.features)
        return floored.weights_many(x, np.ones((len(x), len(floored.offers)), dtype=bool))

    return choose


def _joined(parts: Sequence[Steps]) -> Steps:
    names = [each.name for each in fields(Steps)]
    return Steps(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def learn(season: Season, kind: str, spec: FeatureSpec, logs: Sequence[Played]) -> Odds:
    """Let a bandit learn from the rounds that it has played."""
    bandit = load_bandit(kind)(Hyperparameters(ahead_days=AHEAD))
    x = np.concatenate([played.encode(spec).reshape(-1, spec.size) for played in logs])
    action, reward = (
        np.concatenate([getattr(played, name).ravel() for played in logs])
        for name in ("action", "reward")
    )
    sums = bandit.accumulate(action, x, reward, n_offers=len(season.actions))
    if isinstance(bandit, StepReader):
        bandit.read_steps(_joined([played.steps(spec) for played in logs]))
    return bandit.publish(sums, offers=season.actions, features=spec, floor=FLOOR, version=1)


def versions(season: Season, kind: str, spec: FeatureSpec) -> list[Odds]:
    """Play all rounds; return what was learned after each."""
    logs = [play(season, evenly(season), shoppers=SHOPPERS, seed=0)]
    learned = [learn(season, kind, spec, logs)]
    for number in range(1, ROUNDS):
        choose = choose_by(learned[-1], floor=FLOOR)
        logs.append(play(season, choose, shoppers=SHOPPERS, seed=number))
        learned.append(learn(season, kind, spec, logs))
    return learned


def estimate(
    season: Season, before: Odds, judged: Odds
) -> tuple[float, PolicyValue | Withheld, PolicyValue | Withheld]:
    """Return a version's true value, and what a log of the one before says of it, in two ways."""
    short = replace(season, days=JUDGED_DAYS)
    held = play(short, choose_by(before, floor=JUDGING_FLOOR), shoppers=HELD_BACK, seed=100)
    shape = held.action.shape
    log = SequenceLog(
        features=held.encode(season.features),
        action=held.action,
        weights=held.chances,
        reward=held.reward,
        fade=np.tile(FADE ** np.arange(JUDGED_DAYS), (len(held.action), 1)),
        exists=np.ones(shape, dtype=bool),
        actions=season.actions,
    )
    target = sequence_targets(judged, log)[LEARNED]
    truth, _ = value_of(
        short, choose_by(judged, floor=FLOOR), shoppers=TRUTH, seed=101, discount=FADE
    )
    return truth, judge_sequences(log, target), per_decision_ips(log.sequences(target))


def say(name: str, values: Sequence[float]) -> None:
    """Print a mean over worlds with a normal 95% interval."""
    found = np.array(values)
    margin = 1.96 * found.std(ddof=1) / np.sqrt(len(found))
    print(f"  {name:<34} {found.mean():.3f} ({found.mean() - margin:.3f} to "
          f"{found.mean() + margin:.3f})")  # fmt: skip


def main() -> None:
    """Play the worlds and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=20)
    worlds = parser.parse_args().worlds
    worth: dict[str, list[float]] = {}
    covered, widths, withheld = {"dr": 0, "ips": 0}, {"dr": 0.0, "ips": 0.0}, 0
    for seed in tqdm(range(1, worlds + 1), unit="world"):
        season = Season(seed=seed)
        kinds = {
            SEQUENTIAL: ("sequential", season.features),
            DEFAULT: ("randomised_ucb", season.own_features),
            DEFAULT_SEEING: ("randomised_ucb", season.features),
        }
        learned = {name: versions(season, *kind) for name, kind in kinds.items()}
        rivals = {name: choose_by(odds[-1], floor=FLOOR) for name, odds in learned.items()}
        rivals |= {
            "every action equally often": evenly(season),
            "nothing, ever": always(season, NOTHING),
            "told tastes, rests a day": rested(season, days=1),
            "told tastes, rests two days": rested(season, days=2),
        }
        for name, choose in rivals.items():
            value, _ = value_of(season, choose, shoppers=OTHERS, seed=99, discount=FADE)
            worth.setdefault(name, []).append(value)
        truth, *found = estimate(season, *learned[SEQUENTIAL][-2:])
        for way, estimated in zip(covered, found, strict=True):
            if isinstance(estimated, Withheld):
                withheld += 1
            else:
                covered[way] += estimated.low <= truth <= estimated.high
                widths[way] += estimated.high - estimated.low
    print(f"What a shopper is worth in 20 days, mean of {worlds} worlds and its 95% interval")
    for name, values in worth.items():
        say(name, values)
    print("By how much the sequential policy is worth more, world by world")
    for name in (DEFAULT, DEFAULT_SEEING, "every action equally often"):
        say(name, np.subtract(worth[SEQUENTIAL], worth[name]).tolist())
    print(f"The true value lies in the 95% interval off the log ({withheld} withheld)")
    for way, name in (("dr", "sequential doubly robust"), ("ips", "per-decision IPS")):
        print(f"  {name:<34} {covered[way]} of {worlds}, mean width {widths[way] / worlds:.3f}")


if __name__ == "__main__":
    main()
