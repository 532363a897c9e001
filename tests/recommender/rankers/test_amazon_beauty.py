"""Rankers reach the reference runs on Amazon Beauty, where the file is at hand."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from recommender.interactions.files import read_sequences
from recommender.interactions.histories import Histories
from recommender.interactions.splits import Split, leave_one_out, leave_two_out
from recommender.judging.judge import judge
from recommender.rankers import make_ranker

BEAUTY = Path(__file__).parents[4] / "shared" / "data" / "amazon_beauty_5core.txt.gz"


@pytest.mark.slow
@pytest.mark.skipif(not BEAUTY.exists(), reason=f"{BEAUTY.name} is not in ../shared/data")
@pytest.mark.parametrize(
    ("name", "protocol", "ndcg", "recall"),
    [
        # Reference runs, with these settings and on this file.
        ("markov", leave_one_out, 0.0576, 0.0913),
        ("item_knn", leave_one_out, 0.0399, 0.0682),
        ("markov", leave_two_out, 0.0496, 0.0788),
        ("item_knn", leave_two_out, 0.0354, 0.0612),
    ],
)
def test_a_reference_run_is_reproduced(
    name: str, protocol: Callable[[Histories], Split], ndcg: float, recall: float
) -> None:
    with gzip.open(BEAUTY, "rt") as file:
        histories = read_sequences(file).histories
    assert (len(histories), histories.n_items) == (22_363, 12_101)
    split = protocol(histories)
    means = judge(make_ranker(name).fit(split.learned), split).means
    assert means["ndcg@10"] == pytest.approx(ndcg, rel=0.02)
    assert means["recall@10"] == pytest.approx(recall, rel=0.02)
