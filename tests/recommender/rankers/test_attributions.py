"""What is owed to all inputs adds up to the value, and to each as a closed form says."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from recommender.interactions.histories import Histories
from recommender.rankers.attributions import TOLERANCE, integrate_gradients
from recommender.rankers.two_tower import TwoTower
from tests.recommender.rankers.worlds import N_ITEMS, make_facts, make_histories


def test_a_product_is_shared_as_the_integral_says() -> None:
    # Along t (x, y) the gradient of x² y is (2 t² x y, t² x²): two thirds and one third of it.
    x, y = torch.tensor([3.0]), torch.tensor([5.0])
    nothing = [torch.zeros(1), torch.zeros(1)]
    owed = integrate_gradients(lambda at: (at[0] ** 2 * at[1]).sum(), [x, y], nothing)
    assert [each.item() for each in owed] == pytest.approx([30.0, 15.0], abs=TOLERANCE)


def test_what_a_linear_function_owes_is_its_terms() -> None:
    x = torch.tensor([1.0, -2.0, 4.0])
    slope = torch.tensor([2.0, 3.0, 0.5])
    (owed,) = integrate_gradients(lambda at: slope @ at[0], [x], [torch.ones(3)])
    torch.testing.assert_close(owed, slope * (x - 1))


def test_a_value_that_jumps_is_shared_all_the_same() -> None:
    def value(at: Sequence[torch.Tensor]) -> torch.Tensor:
        x = at[0]
        return torch.relu(x[0] - 0.613) * 100 + torch.nn.functional.normalize(x - 0.2, dim=0)[1]

    x, nothing = torch.tensor([1.0, 0.201]), torch.zeros(2)
    (owed,) = integrate_gradients(value, [x], [nothing])
    assert owed.sum().item() == pytest.approx((value([x]) - value([nothing])).item(), abs=0.01)


@pytest.fixture(scope="module")
def ranker() -> TwoTower:
    settings = {"size": 16, "batch": 64, "epochs": 8, "rate": 0.02}
    return TwoTower(**settings).fit(make_histories(200), make_facts())  # type: ignore[arg-type]


@pytest.mark.parametrize("history", [[1, 2, 3], [1, 2, 15, 16], [], [7] * 25])
def test_attributions_add_up_to_how_far_the_score_is_from_that_of_nothing(
    ranker: TwoTower, history: list[int]
) -> None:
    found = ranker.attribute(history, 4, n_items=N_ITEMS)
    asked = Histories.of([history], n_items=N_ITEMS)
    score = ranker.score(asked)[0, 4]
    network, read = ranker.network, asked.newest(ranker.length)
    with torch.no_grad():
        nobody = network.customers(network.nobody.expand(len(read.items), -1), read)
        nothing = network._mix(torch.zeros(1, 16), torch.zeros(1, 2))
        baseline = float((nobody * nothing).sum())
    total = found.events.sum() + sum(found.words.values()) + found.price + found.own
    assert total == pytest.approx(score - baseline, abs=2 * TOLERANCE)
    assert len(found.events) == len(history)


def test_what_led_to_an_item_is_owed_more_than_what_did_not(ranker: TwoTower) -> None:
    found = ranker.attribute([15, 2], 3, n_items=N_ITEMS)
    assert found.events[1] > found.events[0]
    words = make_facts().names
    assert {words[word] for word in found.words} == {"group-0", "item-3"}


def test_events_that_are_not_read_any_more_are_owed_nothing(ranker: TwoTower) -> None:
    found = ranker.attribute([9] * 5 + [1] * 20, 2, n_items=N_ITEMS)
    np.testing.assert_array_equal(found.events[:5], 0)
    assert (found.events[5:] != 0).any()
