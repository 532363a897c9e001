"""Times implicit's item-kNN and ALS, and numpy's EASE, on the histories of a file.

Run in an environment that has it: QUESTION ANSWERS, both JSON files (see `clients.py`).
"""

# mypy: disable-error-code="import-not-found, import-untyped, unused-ignore"

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from scipy import sparse

PENALTY = 100.0
AT_ONCE = 1024


def seconds(run: Callable[[], object]) -> float:
    """Return the CPU time that something takes."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def recommend_by_ease(x: Any, weights: Any, k: int) -> None:
    """Multiply, leave out what was met and sort the best, as in EASE's own notebook."""
    for first in range(0, x.shape[0], AT_ONCE):
        some = x[first : first + AT_ONCE]
        scores = some @ weights
        scores[some.nonzero()] = -np.inf
        top = np.argpartition(-scores, k, axis=1)[:, :k]
        np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)


def fit_ease(x: Any) -> Any:
    """Follow Algorithm 1 of Steck (2019), which is a few lines of numpy."""
    gram = (x.T @ x).toarray()
    gram[np.diag_indices_from(gram)] += PENALTY
    inverse = np.linalg.inv(gram)
    weights = inverse / (-np.diag(inverse))
    weights[np.diag_indices_from(weights)] = 0
    return weights


def time_model(model: Any, x: Any, k: int) -> dict[str, float]:
    """Time one of implicit's models."""
    everybody = np.arange(x.shape[0])
    return {
        "fit": seconds(lambda: model.fit(x, show_progress=False)),
        "lists": seconds(lambda: model.recommend(everybody, x, N=k)),
    }


def time_factors(model: Any, x: Any, k: int, learned: Path) -> dict[str, float]:
    """Time one that knows customers by number, also when it is asked by what they did."""
    everybody = np.arange(x.shape[0])
    times = time_model(model, x, k)
    times["lists of known"] = times["lists"]
    times["lists"] = seconds(lambda: model.recommend(everybody, x, N=k, recalculate_user=True))
    np.save(learned, model.item_factors)
    return times


def main(asked: Path, answered: Path) -> None:
    """Time all of them once."""
    question = json.loads(asked.read_text())
    kept: Any = np.load(question["histories"])
    ones = np.ones(len(kept["items"]), dtype=np.float32)
    x = sparse.csr_matrix(
        (ones, kept["items"], kept["starts"]), shape=(len(kept["starts"]) - 1, question["n_items"])
    )
    k = question["shown"]
    found = {
        "item-kNN": time_model(CosineRecommender(K=question["neighbours"], num_threads=1), x, k),
        "ALS": time_factors(
            AlternatingLeastSquares(
                factors=question["factors"],
                regularization=1.0,
                alpha=question["alpha"],
                iterations=question["turns"],
                num_threads=1,
                random_state=1,
            ),
            x,
            k,
            Path(question["learned"]),
        ),
    }
    weights = fit_ease(x)
    found["EASE"] = {
        "fit": seconds(lambda: fit_ease(x)),
        "lists": seconds(lambda: recommend_by_ease(x, weights, k)),
    }
    answered.write_text(json.dumps(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
