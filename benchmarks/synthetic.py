"""How well a model that learned from made-up sessions predicts real ones.

    python -m benchmarks.synthetic SHARED/data/online_shoppers_intention.csv.gz [SEEDS]

The file is UCI's Online Shoppers Purchasing Intention (CC BY 4.0). Half of the sessions teach the
network, which makes as many up; a logistic regression learns from these, and from the real half, to
tell who buys, and both are asked about the other half. Columns drawn each by itself are the floor.
About two minutes a seed on one core.
"""

import csv
import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from recommender.simulators.gan import GanSettings, TableGan
from recommender.simulators.usefulness import Usefulness, judge

TARGET = "Revenue"
CATEGORIES = {
    "Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType", "Weekend",
    TARGET,
}  # fmt: skip


def main(path: Path, seeds: int) -> None:
    """Print a line for each way of making sessions up, the mean over seeds."""
    torch.set_num_threads(1)
    rows = read(path)
    found: dict[str, list[Usefulness]] = {"each column by itself": [], "conditional GAN": []}
    with tqdm(total=seeds * GanSettings().epochs, unit=" epochs") as bar:
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            order = rng.permutation(len(rows))
            half = len(rows) // 2
            seen, unseen = ([rows[i] for i in part] for part in (order[:half], order[half:]))
            gan = TableGan(seed=seed).fit(
                seen, condition_on=[TARGET], progress=lambda epoch: bar.update()
            )
            for name, made in (
                ("each column by itself", scramble(seen, rng)),
                ("conditional GAN", gan.sample(len(seen), seed=seed)),
            ):
                found[name].append(
                    judge(made, seen=seen, unseen=unseen, target=TARGET, value="TRUE")
                )
    print(f"{'':24}{'single':>9}{'pairs':>9}{'AUC':>9}{'of real':>9}{'copied':>9}")
    for name, judgements in found.items():
        fields = ("single", "pairs", "transfer", "transfer_of_real", "copied")
        means = [np.mean([getattr(one, field) for one in judgements]) for field in fields]
        print(f"{name:24}" + "".join(f"{mean:9.3f}" for mean in means))


def read(path: Path) -> list[dict[str, Any]]:
    """Read sessions."""
    with gzip.open(path, "rt") as lines:
        return [
            {name: value if name in CATEGORIES else float(value) for name, value in row.items()}
            for row in csv.DictReader(lines)
        ]


def scramble(rows: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw each column by itself."""
    drawn = {name: rng.permutation([row[name] for row in rows]) for name in rows[0]}
    return [
        {name: column[i].item() if isinstance(column[i], np.generic) else column[i]
         for name, column in drawn.items()}
        for i in range(len(rows))
    ]  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
