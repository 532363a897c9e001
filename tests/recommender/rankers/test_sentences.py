"""Descriptions that mean alike things are alike, whatever words they use."""

import math
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers import make_ranker
from recommender.rankers.base import TrainingContext
from recommender.rankers.content import Content
from recommender.rankers.sentences import Sentences, embed
from recommender.rankers.storing import from_bytes, to_bytes
from tests.recommender.rankers.sentence_models import save_model

MEANINGS = {"sneaker": [1.0, 0.0], "trainer": [0.8, 0.6], "mug": [0.0, 1.0]}
TEXTS = ("sneaker", "trainer", "mug", "")
FACTS = ItemFacts.of([[text] for text in TEXTS], texts=TEXTS)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_model(tmp_path_factory.mktemp("model"), MEANINGS)


def fitted(model: str, facts: ItemFacts = FACTS) -> Sentences:
    ranker = Sentences(decay=0.5, price_weight=0.0)
    ranker.prepare(TrainingContext(sentence_model=model))
    return ranker.fit(Histories.of([[0]], n_items=facts.words.shape[0]), facts)


def test_a_score_is_the_mean_cosine_of_what_is_meant(model: str) -> None:
    scores = fitted(model).score(Histories.of([[2, 0], [3], []], n_items=4))
    # The sneaker is two thirds of the profile, the mug a third.
    np.testing.assert_allclose(
        scores[0], [2 / 3, 0.8 * 2 / 3 + 0.6 / 3, 1 / 3, 0], rtol=1e-6, atol=1e-7
    )
    np.testing.assert_array_equal(scores[1:], np.zeros((2, 4)))  # nothing is said, nothing is met


def test_it_finds_other_words_for_the_same_which_words_do_not(model: str) -> None:
    by_meaning = fitted(model).similar(0, n_items=4, k=1)
    assert by_meaning.items.tolist() == [[1]]
    by_words = Content(price_weight=0.0).fit(Histories.of([[0]], n_items=4), FACTS)
    assert by_words.score(Histories.of([[0]], n_items=4))[0, 1] == 0


def test_a_version_serves_without_the_model(model: str) -> None:
    asked = Histories.of([[0], [2, 1]], n_items=4)
    ranker = fitted(model)
    with mock.patch("recommender.rankers.sentences.import_module", side_effect=ImportError):
        again = from_bytes(to_bytes(ranker))
        np.testing.assert_array_equal(again.score(asked), ranker.score(asked))


def test_alike_texts_are_read_once_and_progress_is_told(model: str) -> None:
    told: list[float] = []
    context = TrainingContext(sentence_model=model, report=told.append)
    vectors = embed(["mug", "sneaker trainer", "mug", "  "], context)
    np.testing.assert_allclose(vectors[[0, 2]], [[0, 1], [0, 1]])
    mean = np.array([0.9, 0.3]) / math.hypot(0.9, 0.3)
    np.testing.assert_allclose(vectors[1], mean, rtol=1e-6)
    np.testing.assert_array_equal(vectors[3], [0, 0])
    assert told == [1.0]


def test_what_is_missing_is_said_in_words(model: str, tmp_path: Path) -> None:
    histories = Histories.of([[0]], n_items=4)
    with pytest.raises(ValueError, match="facts about all 4 items"):
        make_ranker("sentences").fit(histories)
    with pytest.raises(ValueError, match="a description of every item"):
        fitted(model, ItemFacts.of([[text] for text in TEXTS]))
    with pytest.raises(ValueError, match="OFFERLAB_SENTENCE_MODEL"):
        make_ranker("sentences").fit(histories, FACTS)
    with pytest.raises(ValueError, match="no folder"):
        fitted(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="cannot be loaded"):
        fitted(str(tmp_path))
    with pytest.raises(ValueError, match="Nothing is said"):
        fitted(model, ItemFacts.of([["a"]], texts=[" "]))
    with (
        mock.patch("recommender.rankers.sentences.import_module", side_effect=ImportError),
        pytest.raises(ValueError, match="requirements-training"),
    ):
        fitted(model)
