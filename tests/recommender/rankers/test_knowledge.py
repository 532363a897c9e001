"""Products that few people met are found through what is like them."""

import numpy as np
import pytest
from scipy import sparse

from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.content import weigh_words
from recommender.rankers.knowledge import Knowledge, find_likes
from recommender.rankers.markov import Markov
from recommender.rankers.sparse_rows import without_self

# Items 0 and 1 are mugs, 2 and 3 pots, 4 is neither; mugs are followed by pots.
MUG, POT = ["mug", "cup"], ["pot", "pan"]
WORDS = [[*MUG, "red"], [*MUG, "blue"], [*POT, "red"], [*POT, "blue"], ["lamp"]]
FACTS = ItemFacts.of(WORDS)
SEEN = Histories.of([[0, 2]] * 20, n_items=5)


def test_what_nobody_met_is_led_to_and_leads_on_through_its_likes() -> None:
    ranker = Knowledge(neighbours=1).fit(SEEN, FACTS)
    scores = ranker.score(Histories.of([[0], [1]], n_items=5))
    # Nobody met 3, which is like 2, and nobody 1, which is like 0.
    assert scores[0, 2] > scores[0, 3] > scores[0, 4] == 0
    assert scores[1, 2] > 0
    plain = Markov().fit(SEEN).score(Histories.of([[0], [1]], n_items=5))
    assert plain[0, 3] == plain[1].max() == 0


def test_the_walks_add_up() -> None:
    rng = np.random.default_rng(4)
    histories = Histories.of([rng.permutation(5)[:4].tolist() for _ in range(30)], n_items=5)
    ranker = Knowledge(neighbours=2, after=0.3, before=0.5, alike=0.7).fit(histories, FACTS)
    follows = Markov().fit(histories).leads.toarray()
    likes = find_likes(weigh_words(FACTS), 2).toarray()
    walks = follows + 0.3 * follows @ likes + 0.5 * likes @ follows + 0.7 * likes
    np.fill_diagonal(walks, 0)
    np.testing.assert_allclose(ranker.leads.toarray(), walks, rtol=1e-5)


def test_without_walks_it_is_the_markov_model() -> None:
    ranker = Knowledge(after=0.0, before=0.0, alike=0.0).fit(SEEN, FACTS)
    np.testing.assert_allclose(
        ranker.leads.toarray(), without_self(Markov().fit(SEEN).leads).toarray()
    )


def test_likes_are_the_nearest_others_as_parts_of_one() -> None:
    words = sparse.csr_array(np.array([[1, 0], [0.8, 0.6], [0, 1], [0, 0]], dtype=np.float32))
    likes = find_likes(words, 1).toarray()
    np.testing.assert_array_equal(likes, [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_facts_are_needed_and_of_the_same_items() -> None:
    with pytest.raises(ValueError, match="needs facts about all 5 items"):
        Knowledge().fit(SEEN)
    with pytest.raises(ValueError, match="needs facts about all 5 items"):
        Knowledge().fit(SEEN, ItemFacts.of([["mug"]]))
