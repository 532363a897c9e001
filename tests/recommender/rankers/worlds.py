"""Planted worlds of customers who follow known habits."""

import numpy as np

from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts

GROUPS, SIZE = 4, 10
N_ITEMS = GROUPS * SIZE


def make_histories(customers: int = 300, *, length: int = 8, seed: int = 3) -> Histories:
    """Everybody stays in one group of items and mostly takes the next one in a circle."""
    rng = np.random.default_rng(seed)
    lists = []
    for customer in range(customers):
        group, place = customer % GROUPS, int(rng.integers(SIZE))
        taken: list[int] = []
        while len(taken) < length:
            item = group * SIZE + place % SIZE
            if item not in taken:
                taken.append(item)
            place += 1 if rng.random() < 0.8 else int(rng.integers(SIZE))
        lists.append(taken)
    times = np.tile(np.arange(length) * 3600.0, customers)
    return Histories.of(lists, n_items=N_ITEMS, times=times)


def make_facts() -> ItemFacts:
    """Items of one group share a word and about a price; each has a word of its own."""
    words = [[f"group-{item // SIZE}", f"item-{item}"] for item in range(N_ITEMS)]
    return ItemFacts.of(
        words,
        prices=[10.0 ** (1 + item // SIZE) for item in range(N_ITEMS)],
        texts=[" ".join(each) for each in words],
    )
