"""Rank by what is meant: products whose descriptions say alike things, in whatever words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from recommender.arrays import ScoreArray, SparseArray
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import TrainingContext
from recommender.rankers.content import Alike

EXTRA = "sentence_transformers"
TEXTS_AT_ONCE = 1_000  # between two reports


@dataclass(kw_only=True, eq=False)
class Sentences(Alike):
    """What is alike has descriptions that a sentence model places near one another.

    A pretrained model turns each description into a vector of length 1 (Sentence-BERT, Reimers &
    Gurevych 2019), once in each training; the vectors are what a version keeps, so whoever serves
    it needs no model. It finds a sneaker for a running shoe, which `content` does not.

    Attributes:
        vectors: Rows of length 1, shape (n_items, d); 0 where nothing is said of an item.
    """

    vectors: ScoreArray = field(init=False, repr=False)

    def _compare(self, facts: ItemFacts) -> None:
        if len(facts.texts) != facts.words.shape[0]:
            raise ValueError("Sentences needs a description of every item.")
        self.vectors = embed(facts.texts, self.context)

    def _cosines(self, parts: SparseArray) -> ScoreArray:
        meant: ScoreArray = parts @ self.vectors  # (n, d)
        return meant @ self.vectors.T  # (n, n_items)


def embed(texts: Sequence[str], context: TrainingContext) -> ScoreArray:
    """Turn texts into vectors of length 1, (n, d); an empty one into zeros.

    Raises:
        ValueError: The extra is not installed, or there is no model, or it cannot be loaded, or all
            texts are empty.
    """
    model = _load(context)
    different = sorted({text for text in texts if text.strip()})
    vectors = []
    for first in range(0, len(different), TEXTS_AT_ONCE):
        some = different[first : first + TEXTS_AT_ONCE]
        read = model.encode(some, normalize_embeddings=True, show_progress_bar=False)
        vectors.append(np.asarray(read, dtype=np.float32))
        context.report(min(1.0, (first + len(some)) / len(different)))
    if not different:
        raise ValueError("Nothing is said of any product, so there are no sentences to read.")
    table = np.concatenate([*vectors, np.zeros((1, vectors[0].shape[1]), np.float32)])
    number = {text: place for place, text in enumerate(different)}
    return table[[number.get(text, len(different)) for text in texts]]


def _load(context: TrainingContext) -> Any:
    """Load the model from its folder: what a version was made with does not change by itself."""
    if not context.sentence_model:
        raise ValueError(
            "Sentences needs a model that reads them: name its folder in OFFERLAB_SENTENCE_MODEL."
        )
    if not Path(context.sentence_model).is_dir():
        raise ValueError(f"There is no folder {context.sentence_model} with a sentence model.")
    try:
        library = import_module(EXTRA)
    except ImportError as error:
        raise ValueError(
            "Sentences needs sentence-transformers: pip install -r requirements-training.txt."
        ) from error
    try:
        # Weights as safetensors alone, for the other format is a pickle; and no code.
        return library.SentenceTransformer(
            context.sentence_model,
            device=context.device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ValueError(
            f"The sentence model in {context.sentence_model} cannot be loaded: {error}"
        ) from error
