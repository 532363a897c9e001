"""What three rules call on 99 real treatments: Welch at the end, an mSPRT, and our looks.

    python -m benchmarks.asos asos_experiments.parquet

The ASOS Digital Experiments Dataset (Liu, Cardoso, Couturier & McCoy 2021, NeurIPS Datasets and
Benchmarks; https://osf.io/64jsb) holds the moments of four metrics in 78 experiments over time.
Welch's test is made once, on the last snapshot; the mSPRT and our default rule, group-sequential
boundaries, look at every snapshot; so does Welch's test, to show what that does. Snapshots without
a variance are no looks, and treatments whose last one has none are left out.
"""

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from experiments.looks import LEAST_STEP, Look, judge
from experiments.stats.comparisons import Comparisons
from experiments.stats.estimate import Estimate
from experiments.stats.many import compare_means_many
from experiments.stats.sequential import find_boundaries

FloatArray = NDArray[np.float64]

LN_ALPHA = math.log(0.05)
# Of Cohen's d over all experiments, by metric: how large effects the mSPRT expects.
PRIOR_VARIANCE = {1: 1.30e-5, 2: 1.07e-5, 3: 6.48e-6, 4: 5.92e-6}
QUERY = """
SELECT experiment_id, variant_id, metric_id, count_c, count_t, mean_c, mean_t,
       coalesce(variance_c, 'nan'), coalesce(variance_t, 'nan')
FROM read_parquet(?) ORDER BY metric_id, experiment_id, variant_id, time_since_start
"""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One treatment on one metric over time, shapes (2, t) with the control first.

    Attributes:
        metric: Its number.
        n: Customers.
        mean: Per customer.
        variance: Between customers; NaN where it is not known.
    """

    metric: int
    n: FloatArray
    mean: FloatArray
    variance: FloatArray

    @property
    def is_known(self) -> bool:
        """Whether the last snapshot has variances."""
        return bool(np.isfinite(self.variance[:, -1]).all())

    def known(self) -> "Stream":
        """Return the snapshots that can be compared."""
        keep = np.isfinite(self.variance).all(axis=0) & (self.n.min(axis=0) >= 2)
        return Stream(self.metric, self.n[:, keep], self.mean[:, keep], self.variance[:, keep])

    def compare(self) -> Comparisons:
        """Compare the arms at every snapshot."""
        return compare_means_many(self.n, self.mean, self.variance)


def read_streams(path: Path) -> list[Stream]:
    """Read every treatment on every metric whose last snapshot can be compared."""
    rows = duckdb.execute(QUERY, [str(path)]).fetchall()
    streams = []
    for (_, _, metric), group in groupby(rows, key=lambda row: row[:3]):
        n_c, n_t, mean_c, mean_t, variance_c, variance_t = np.array(
            [row[3:] for row in group], dtype=np.float64
        ).T
        pairs = (n_c, n_t), (mean_c, mean_t), (variance_c, variance_t)
        streams.append(Stream(metric, *(np.stack(pair) for pair in pairs)))
    return [stream.known() for stream in streams if stream.is_known]


def is_called_at_end(stream: Stream) -> bool:
    """Make Welch's test once, on the last snapshot."""
    return bool(stream.compare().ln_p_value[-1] <= LN_ALPHA)


def is_called_at_any(stream: Stream) -> bool:
    """Make Welch's test on every snapshot, as if it were the only one."""
    return bool(np.nanmin(stream.compare().ln_p_value) <= LN_ALPHA)


def is_called_by_msprt(stream: Stream) -> bool:
    """Follow the mSPRT from snapshot to snapshot."""
    prior_variance = PRIOR_VARIANCE[stream.metric]
    return bool(msprt_ln_p(stream.n, stream.mean, stream.variance, prior_variance)[-1] <= LN_ALPHA)


def is_called_by_looks(stream: Stream) -> bool:
    """Follow our default rule from look to look."""
    compared = stream.compare()
    for index, look in zip(*take_looks(tuple(stream.n.sum(axis=0))), strict=True):
        result = compared.result(index)
        if isinstance(result, Estimate) and judge(result, look, higher_is_better=True) != "unclear":
            return True
    return False


RULES: Mapping[str, Callable[[Stream], bool]] = {
    "mSPRT": is_called_by_msprt,
    "our looks": is_called_by_looks,
    "Welch at every look": is_called_at_any,
}


def msprt_ln_p(
    n: FloatArray, mean: FloatArray, variance: FloatArray, prior_variance: float
) -> FloatArray:
    """Return the logarithm of the mixture sequential probability ratio test's p at each snapshot.

    Johari, Koomen, Pekelis & Walsh (2022): with V = s_c^2 + s_t^2, n the harmonic mean of the arms'
    sizes and the difference normal around 0 with variance tau^2 = prior_variance s_c^2 beforehand,

        L = sqrt(V / (V + n tau^2)) exp(n^2 tau^2 (m_t - m_c)^2 / (2 V (V + n tau^2)))

    and p is the least 1 / max(1, L) so far. The first snapshot has p = 1, as a test begins there.

    Args:
        n: Customers, shape (2, t), the control first.
        mean: Their means.
        variance: Their variances.
        prior_variance: Of the effect, in variances of the control.
    """
    each = 2.0 / (1.0 / n).sum(axis=0)
    total, tau = variance.sum(axis=0), prior_variance * variance[0]
    wide = total + each * tau
    squared = (mean[1] - mean[0]) ** 2
    ln_ratio = 0.5 * np.log(total / wide) + each**2 * tau * squared / (2.0 * total * wide)
    ln_ratio[0] = 0.0
    return np.minimum.accumulate(-np.maximum(ln_ratio, 0.0))


@cache
def take_looks(sizes: tuple[float, ...]) -> tuple[Sequence[int], Sequence[Look]]:
    """Return which snapshots are looks, and their boundaries: those of `experiments.looks`.

    That finds one look at a time, and every boundary before it again.

    Args:
        sizes: Customers at each snapshot; those of the last are the planned ones.
    """
    fractions = [size / sizes[-1] for size in sizes]
    chosen = list(_far_enough(fractions))
    boundaries = find_boundaries([fractions[index] for index in chosen])
    return chosen, [
        Look(boundary.fraction, boundary, number, is_early=boundary.fraction < 1.0)
        for number, boundary in enumerate(boundaries, start=1)
    ]


def count_calls(
    streams: Sequence[Stream], *, rules: Mapping[str, Callable[[Stream], bool]] = RULES
) -> dict[int, dict[str, Counter[str]]]:
    """Count how rules agree with Welch's test at the end, by metric and rule."""
    found: dict[int, dict[str, Counter[str]]] = {}
    for stream in streams:
        counters = found.setdefault(stream.metric, {name: Counter() for name in rules})
        welch = is_called_at_end(stream)
        for name, is_called in rules.items():
            counters[name][say_agreement(welch=welch, other=is_called(stream))] += 1
    return found


def say_agreement(*, welch: bool, other: bool) -> str:
    """Name the cell of the table of both."""
    if welch == other:
        return "both" if welch else "neither"
    return "only Welch" if welch else "only the rule"


def _far_enough(fractions: Sequence[float]) -> Iterator[int]:
    last = 0.0
    for index, fraction in enumerate(fractions):
        is_end = index == len(fractions) - 1
        if fraction > last and (is_end or last + LEAST_STEP <= fraction < 1.0):
            last = fraction
            yield index


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", type=Path, help="asos_experiments.parquet")
    found = count_calls(read_streams(parser.parse_args().path))
    cells = ("both", "only the rule", "neither", "only Welch")
    print(f"{'metric':<8}{'rule':<21}{'called':>8}{''.join(f'{cell:>15}' for cell in cells)}")
    for metric, counters in sorted(found.items()):
        for rule, counter in counters.items():
            called = counter["both"] + counter["only the rule"]
            counts = "".join(f"{counter[cell]:>15}" for cell in cells)
            print(f"{metric:<8}{rule:<21}{called:>8}{counts}")


if __name__ == "__main__":
    main()
