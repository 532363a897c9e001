"""Two towers learn from what came next, and know items by what is said of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import TrainingContext
from recommender.rankers.two_tower import Pairs, TwoTower
from recommender.training.epochs import Part
from tests.recommender.rankers.worlds import N_ITEMS, SIZE, make_facts, make_histories

SMALL: dict[str, Any] = {"size": 16, "batch": 64, "epochs": 8, "rate": 0.02}


def test_a_new_item_is_known_by_its_words() -> None:
    # Item 5 was met by nobody while it learned; its words are those of its group.
    histories = make_histories(200)
    learned = histories.where(histories.items != 5)
    ranker = TwoTower(**SMALL).fit(learned, make_facts())
    scores = ranker.score(Histories.of([[3, 4]], n_items=N_ITEMS))[0]
    others = np.arange(N_ITEMS) // SIZE != 0
    assert scores[5] > scores[others].max()
    blind = TwoTower(**SMALL).fit(learned)
    scores = blind.score(Histories.of([[3, 4]], n_items=N_ITEMS))[0]
    assert scores[5] < scores[[6, 7]].max()


def test_the_loss_is_the_surprise_among_the_batch_corrected_for_how_often_items_are() -> None:
    histories = Histories.of([[1, 2, 3], [2, 4]], n_items=5)
    ranker = TwoTower(**(SMALL | {"dropout": 0.0, "batch": 5}))
    ranker.fit(histories, None)
    task = Pairs(ranker, ranker.network, histories)
    events = np.array([1, 2, 4])
    loss = float(task.loss(events).detach())
    counts = np.bincount(histories.items, minlength=5) / 5
    scores = ranker.score(Histories.of([[1], [1, 2], [2]], n_items=5)) / ranker.temperature
    candidates, answers = [2, 3, 4], [2, 3, 4]
    logits = scores[:, candidates] - np.log(counts[candidates])
    expected = [
        np.log(np.exp(row).sum()) - row[candidates.index(answer)]
        for row, answer in zip(logits, answers, strict=True)
    ]
    assert loss == pytest.approx(np.mean(expected), rel=1e-4)


def test_only_the_newest_items_are_read() -> None:
    ranker = TwoTower(**(SMALL | {"length": 2})).fit(make_histories(50), make_facts())
    long, short = [[20, 1, 2]], [[1, 2]]
    np.testing.assert_allclose(
        ranker.score(Histories.of(long, n_items=N_ITEMS)),
        ranker.score(Histories.of(short, n_items=N_ITEMS)),
        rtol=1e-5,
    )


def test_facts_about_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="facts about 1 items, not 40"):
        TwoTower(**SMALL).fit(make_histories(20), ItemFacts.of([["mug"]]))


def test_unknown_prices_are_of_no_account() -> None:
    facts = ItemFacts.of([[f"item-{item}"] for item in range(N_ITEMS)])
    ranker = TwoTower(**(SMALL | {"epochs": 1})).fit(make_histories(20), facts)
    np.testing.assert_array_equal(ranker.prices, 0)


def test_it_learns_from_few_without_validating(tmp_path: Path) -> None:
    told: list[float] = []
    ranker = TwoTower(**(SMALL | {"epochs": 2}))
    ranker.prepare(TrainingContext(checkpoint=tmp_path / "towers", report=told.append))
    ranker.fit(Histories.of([[1, 2], [3]], n_items=5))
    assert told == [0.5, 1.0]
    assert (tmp_path / "towers").exists()
    assert torch.isfinite(torch.from_numpy(ranker.score(Histories.of([[]], n_items=5)))).all()


def test_the_losses_of_parts_add_up() -> None:
    histories = make_histories(20)
    ranker = TwoTower(**(SMALL | {"epochs": 1})).fit(histories, make_facts())
    task = Pairs(ranker, ranker.network, histories)
    events = np.arange(3, 30)
    parts = [task.loss(events, Part(number, 4)).item() for number in range(4)]
    assert sum(parts) == pytest.approx(task.loss(events).item(), rel=1e-5)
    assert min(parts) > 0
