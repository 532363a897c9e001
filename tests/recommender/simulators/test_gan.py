"""The network learns how columns hang together, which single columns do not tell."""

from typing import Any

import numpy as np
import pytest
import torch

from recommender.simulators.gan import GanSettings, TableGan
from recommender.simulators.tables import fit_column
from recommender.simulators.usefulness import (
    auc,
    copied,
    judge,
    pair_distance,
    single_distance,
)

SMALL = GanSettings(epochs=2, batch=64, noise=8, width=16)


def shoppers(n: int, *, seed: int) -> list[dict[str, Any]]:
    """Make shoppers up whose spending hangs on their plan, and visits on spending."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        plan = str(rng.choice(["basic", "pro", "free"], p=[0.3, 0.2, 0.5]))
        level = {"free": 0.0, "basic": 3.0, "pro": 5.0}[plan]
        spend = 0.0 if plan == "free" else float(np.exp(level + 0.3 * rng.normal()))
        visits = int(rng.poisson(1 + 4 * level))
        buys = bool(rng.random() < 0.05 + 0.15 * level)
        rows.append({"plan": plan, "spend": spend, "visits": visits, "buys": buys})
    return rows


def scrambled(rows: list[dict[str, Any]], *, seed: int) -> list[dict[str, Any]]:
    """Draw each column by itself: right one by one, and wrong together."""
    rng = np.random.default_rng(seed)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return [
        {name: values[int(rng.integers(len(values)))] for name, values in columns.items()}
        for _ in rows
    ]


@pytest.fixture(scope="module")
def begun() -> TableGan:
    """A network that has learned next to nothing."""
    return TableGan(SMALL, seed=1).fit(shoppers(400, seed=1), condition_on=["plan"])


@pytest.fixture(scope="module")
def learned() -> TableGan:
    settings = GanSettings(batch=256, noise=16, width=64)
    return TableGan(settings, seed=1).fit(shoppers(3000, seed=1), condition_on=["plan"])


@pytest.mark.slow
def test_columns_hang_together_as_they_do_in_the_table(learned: TableGan) -> None:
    seen, unseen = shoppers(3000, seed=1), shoppers(2000, seed=2)
    made = learned.sample(2000, seed=3)
    found = judge(made, seen=seen, unseen=unseen, target="buys", value=True)
    alone = judge(scrambled(seen, seed=4), seen=seen, unseen=unseen, target="buys", value=True)
    assert alone.single < 0.05
    assert found.single < 0.15
    assert found.pairs < 0.6 * alone.pairs
    assert found.transfer > found.transfer_of_real - 0.05
    assert found.transfer > alone.transfer + 0.1
    assert abs(found.copied - 0.5) < 4 * 0.5 / 1000**0.5


@pytest.mark.slow
def test_rows_of_a_condition_are_like_those_of_the_table(learned: TableGan) -> None:
    pros, free = (learned.sample(300, seed=5, where={"plan": plan}) for plan in ("pro", "free"))
    assert np.median([row["spend"] for row in pros]) == pytest.approx(np.exp(5), rel=0.5)
    assert np.mean([row["spend"] == 0 for row in free]) > 0.8


def test_a_sample_has_the_condition_that_is_asked_for(begun: TableGan) -> None:
    pros = begun.sample(50, seed=5, where={"plan": "pro"})
    assert {row["plan"] for row in pros} == {"pro"}
    assert all(isinstance(row["visits"], int) for row in pros)


def test_conditions_come_as_often_as_in_the_table(begun: TableGan) -> None:
    made = begun.sample(4000, seed=6)
    share = np.mean([row["plan"] == "pro" for row in made])
    seen = np.mean([row["plan"] == "pro" for row in shoppers(400, seed=1)])
    assert abs(share - seen) < 4 * (0.2 * 0.8 / 4000) ** 0.5


def test_the_same_seeds_make_the_same_rows_and_a_blob_makes_them_too(begun: TableGan) -> None:
    rows = shoppers(400, seed=7)
    twice = [TableGan(SMALL, seed=3).fit(rows, condition_on=["buys"]) for _ in range(2)]
    assert twice[0].sample(50, seed=1) == twice[1].sample(50, seed=1)
    assert twice[0].sample(50, seed=1) != twice[0].sample(50, seed=2)
    again = TableGan.from_bytes(begun.to_bytes())
    assert again.sample(50, seed=8) == begun.sample(50, seed=8)
    with pytest.raises(ValueError, match="Not a readable artifact"):
        TableGan.from_bytes(b"nonsense")


def test_learning_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    TableGan(GanSettings(epochs=1, batch=64, noise=4, width=8)).fit(shoppers(100, seed=1))
    assert torch.equal(torch.rand(3), expected)


def test_progress_is_told_of_each_epoch() -> None:
    epochs: list[int] = []
    settings = GanSettings(epochs=3, batch=64, noise=4, width=8)
    TableGan(settings).fit(shoppers(100, seed=1), progress=epochs.append)
    assert epochs == [1, 2, 3]


@pytest.mark.parametrize(
    ("rows", "condition_on", "says"),
    [
        (shoppers(99, seed=1), (), "takes 100 rows"),
        (shoppers(100, seed=1), ("colour",), "no column colour"),
        ([{"plan": "pro"}] * 100, ("plan",), "Leave a column"),
    ],
)
def test_what_cannot_be_learned_is_refused(
    rows: list[dict[str, Any]], condition_on: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        TableGan(SMALL).fit(rows, condition_on=condition_on)


def test_what_was_never_seen_cannot_be_asked_for(begun: TableGan) -> None:
    with pytest.raises(ValueError, match="No row was like"):
        begun.sample(5, seed=1, where={"plan": "gold"})
    with pytest.raises(ValueError, match="not learned to condition on visits"):
        begun.sample(5, seed=1, where={"visits": 3})


@pytest.mark.parametrize("sizes", [{"batch": 100}, {"epochs": 0}, {"noise": 0}])
def test_impossible_sizes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        GanSettings(**sizes)


def test_copies_are_found_out() -> None:
    seen, unseen = shoppers(300, seed=1), shoppers(300, seed=2)
    columns = [fit_column(name, [row[name] for row in seen]) for name in seen[0]]
    assert copied(seen, seen=seen, unseen=unseen, columns=columns) > 0.6
    fresh = copied(shoppers(1000, seed=3), seen=seen, unseen=unseen, columns=columns)
    assert abs(fresh - 0.5) < 4 * 0.5 / 1000**0.5


def test_the_same_rows_do_not_differ_and_one_column_has_no_pairs() -> None:
    rows = shoppers(200, seed=1)
    columns = [fit_column(name, [row[name] for row in rows]) for name in rows[0]]
    assert single_distance(rows, rows, columns) == pair_distance(rows, rows, columns) == 0.0
    assert pair_distance(rows, rows, columns[:1]) == 0.0


def test_auc_is_how_often_the_true_one_scores_higher() -> None:
    rng = np.random.default_rng(1)
    score = rng.integers(0, 5, 60).astype(np.float64)
    truth = rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in score[truth] for b in score[~truth]]
    assert auc(score, truth) == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="some that are true"):
        auc(score, np.ones(60, dtype=bool))
    with pytest.raises(ValueError, match="Some rows must have"):
        judge(shoppers(100, seed=1), seen=shoppers(100, seed=1), unseen=shoppers(100, seed=2),
              target="plan", value="gold")  # fmt: skip


def test_a_model_that_learned_from_scrambled_rows_knows_nothing() -> None:
    seen, unseen = shoppers(600, seed=1), shoppers(600, seed=2)
    found = judge(scrambled(seen, seed=3), seen=seen, unseen=unseen, target="buys", value=True)
    same = judge(seen, seen=seen, unseen=unseen, target="buys", value=True)
    assert same.transfer == same.transfer_of_real > 0.8
    assert found.transfer < same.transfer - 0.1
