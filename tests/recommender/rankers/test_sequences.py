"""Networks read histories in order, and only what came before."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recommender.arrays import ScoreArray
from recommender.interactions.histories import Histories
from recommender.rankers import neural
from recommender.rankers.base import TrainingContext
from recommender.rankers.gru import Gru
from recommender.rankers.hstu import BUCKETS, Hstu, bucket
from recommender.rankers.neural import validate_scores
from recommender.rankers.sequences import (
    Network,
    NextItem,
    SequenceRanker,
    cut,
    fill,
)
from recommender.rankers.transformer import Transformer
from recommender.training.epochs import Part
from tests.recommender.rankers.worlds import N_ITEMS, make_histories

SMALL = {"size": 16, "batch": 8, "epochs": 1}


@pytest.fixture(params=[Transformer, Gru, Hstu])
def ranker(request: pytest.FixtureRequest) -> SequenceRanker:
    made: SequenceRanker = request.param(**SMALL)
    return made


def network_of(ranker: SequenceRanker) -> Network:
    torch.manual_seed(3)
    return Network(ranker.encoder(), n_items=N_ITEMS, size=ranker.size).eval()


def test_what_comes_later_changes_nothing_before(ranker: SequenceRanker) -> None:
    network = network_of(ranker)
    first, second = torch.tensor([[40, 1, 2, 3]]), torch.tensor([[40, 1, 2, 9]])
    times = torch.zeros(1, 4, dtype=torch.int64)
    before, after = network(first, times), network(second, times)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])


def test_order_matters(ranker: SequenceRanker) -> None:
    network = network_of(ranker)
    scores = network.score(Histories.of([[1, 2, 3], [2, 1, 3]], n_items=N_ITEMS), device="cpu")
    assert np.abs(scores[0] - scores[1]).max() > 1e-4


def test_histories_are_filled_behind() -> None:
    times = np.array([60.0, 70.0, 80.0])
    filled = fill(Histories.of([[1, 2], [], [3]], n_items=9, times=times), beginning=9)
    np.testing.assert_array_equal(filled.items, [[9, 1, 2], [9, 9, 9], [9, 3, 9]])
    np.testing.assert_array_equal(filled.times, [[60, 60, 70], [0, 0, 0], [80, 80, 0]])


def test_stretches_of_time_are_numbered_by_their_power_of_two() -> None:
    seconds = torch.tensor([-5, 0, 1, 3, 86_400, 10**12])
    assert bucket(seconds).tolist() == [0, 0, 1, 2, 16, BUCKETS - 1]


def test_how_long_ago_something_was_matters_to_who_reads_times() -> None:
    network = network_of(Hstu(**SMALL))
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("ago"):
                value.copy_(torch.arange(BUCKETS).expand_as(value) / 3)
    now, spread = ([0.0, 0.0, 0.0], [0.0, 5_000.0, 900_000.0])
    scores = [
        network.score(
            Histories.of([[1, 2, 3]], n_items=N_ITEMS, times=np.array(times)), device="cpu"
        )
        for times in (now, spread)
    ]
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def test_long_histories_are_cut_with_the_newest_whole() -> None:
    pieces = cut(Histories.of([[1, 2, 3, 4, 5], [], [6]], n_items=9), 2)
    lists = [pieces.items_of(row).tolist() for row in range(len(pieces))]
    assert lists == [[1], [2, 3], [4, 5], [6]]


def test_the_loss_is_the_surprise_at_the_next_items_among_those_of_others() -> None:
    ranker = Transformer(**SMALL)
    task = NextItem(ranker, network_of(ranker), make_histories(9))
    batch = fill(Histories.of([[1, 2], [3]], n_items=N_ITEMS), beginning=N_ITEMS)
    loss = task.loss(batch).detach()
    counts = np.maximum(np.bincount(task._learned.items, minlength=N_ITEMS), 1)
    often = np.log(counts / len(task._learned.items))
    surprises = []
    # What the customer met besides is no wrong answer: 1 is not held against 2, nor 2 against 1.
    for history, answer, among in (([], 1, [1, 3]), ([1], 2, [2, 3]), ([], 3, [1, 2, 3])):
        asked = Histories.of([history], n_items=N_ITEMS)
        scores = network_of(ranker).score(asked, device="cpu")[0]
        logits = scores / ranker.temperature - often
        surprises.append(np.log(np.exp(logits[among]).sum()) - logits[answer])
    assert float(loss) == pytest.approx(np.mean(surprises), rel=1e-4)


def test_batches_are_of_like_length_and_whole() -> None:
    ranker = Transformer(**SMALL)
    lists = [[1] * length for length in (1, 9, 2, 8, 3, 1, 2, 9, 3, 8, 1, 2, 3, 9, 8, 1)]
    task = NextItem(ranker, network_of(ranker), Histories.of(lists, n_items=N_ITEMS))
    widths = sorted(batch.items.shape[1] for batch in task.batches(np.random.default_rng(1)))
    assert widths[0] <= 4
    events = sum(
        int((batch.items < N_ITEMS).sum()) for batch in task.batches(np.random.default_rng(1))
    )
    assert events == sum(map(len, lists)) - len(task._answers)


def test_validation_is_the_mean_gain_over_all_that_is_held_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neural, "CUSTOMERS_AT_ONCE", 2)
    asked = Histories.of([[0], [1], [2]], n_items=4)
    table = np.array([[9, 3, 2, 1], [4, 9, 3, 2], [3, 2, 9, 1]], dtype=np.float32)

    def score(some: Histories) -> ScoreArray:
        return table[some.items]

    # First, third and second of what they had not met.
    gain = validate_scores(score, asked, np.array([1, 3, 1]))
    assert gain == pytest.approx((1 + 1 / np.log2(4) + 1 / np.log2(3)) / 3)


def test_too_few_customers_are_learned_from_and_not_validated() -> None:
    ranker = Transformer(**SMALL)
    task = NextItem(ranker, network_of(ranker), Histories.of([[1, 2], [3]], n_items=N_ITEMS))
    assert task.validate() == 0.0


def test_a_training_tells_how_far_it_is_and_keeps_a_checkpoint(tmp_path: Path) -> None:
    told: list[float] = []
    ranker = Gru(**(SMALL | {"epochs": 2}))
    ranker.prepare(TrainingContext(checkpoint=tmp_path / "gru", report=told.append))
    ranker.fit(make_histories(20))
    assert told == [0.5, 1.0]
    assert (tmp_path / "gru").exists()


def test_the_losses_of_parts_add_up(ranker: SequenceRanker) -> None:
    task = NextItem(ranker, network_of(ranker), make_histories(9))
    lists = [[1, 2], [3], [4, 5, 6], [7, 1], [2, 8]]
    batch = fill(Histories.of(lists, n_items=N_ITEMS), beginning=N_ITEMS)
    parts = [task.loss(batch, Part(number, 3)).item() for number in range(3)]
    assert sum(parts) == pytest.approx(task.loss(batch).item(), rel=1e-5)
    assert min(parts) > 0
