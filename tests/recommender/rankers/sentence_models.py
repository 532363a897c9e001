"""A sentence model of a few words, made on the spot: no download, and its meanings are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

REASON = "needs sentence-transformers: pip install -r requirements-training.txt"


def save_model(directory: Path, meanings: Mapping[str, Sequence[float]]) -> str:
    """Save a model that takes a text for the mean of its words' meanings; others mean nothing."""
    pytest.importorskip("sentence_transformers", reason=REASON)
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    number = {word: place for place, word in enumerate(["[UNK]", *meanings])}
    tokenizer = Tokenizer(models.WordLevel(number, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    size = len(next(iter(meanings.values())))
    weights = np.array([[0.0] * size, *meanings.values()], dtype=np.float32)
    module = StaticEmbedding(tokenizer, embedding_weights=weights)
    SentenceTransformer(modules=[module], device="cpu").save(str(directory))
    return str(directory)
