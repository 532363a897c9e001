"""What a network sees in customers, from plain arrays."""

from typing import Any

import numpy as np
import pytest

from recommender.artifacts import pack
from recommender.weighing.representation import Representation, RepresentationFacts

W, B = np.array([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]]), np.array([0.0, 0.1, 0.2])
V, C = np.array([[1.0], [-1.0], [0.5]]), np.array([0.3])


def test_layers_follow_one_another_beside_the_customer() -> None:
    seen = Representation((W, V), (B, C))
    assert (seen.inputs, seen.size) == (2, 3)
    x = np.array([1.0, -0.4])
    hidden = [np.tanh(1.0 - 0.2), np.tanh(-0.8 + 0.1), np.tanh(-1.0 + 0.2)]
    last = np.tanh(hidden[0] - hidden[1] + 0.5 * hidden[2] + 0.3)
    np.testing.assert_allclose(seen.represent(x), [1.0, -0.4, last], rtol=1e-12)
    many = np.stack([x, 2 * x, 0 * x])
    np.testing.assert_allclose(seen.represent(many)[0], seen.represent(x))
    assert seen.represent(many).shape == (3, 3)


def test_bytes_round_trip_sees_the_same() -> None:
    seen, x = Representation((W, V), (B, C)), np.random.default_rng(1).normal(size=(9, 2))
    copy = Representation.from_bytes(seen.to_bytes())
    np.testing.assert_array_equal(copy.represent(x), seen.represent(x))


@pytest.mark.parametrize(
    ("weights", "biases", "message"),
    [
        ((), (), "at least one layer"),
        ((W,), (), "each with its biases"),
        ((W, W), (B, B), "does not fit 3"),
        ((W,), (C,), "does not fit 2"),
        ((W[0],), (B,), r"shapes \(3,\) and \(3,\) does not fit"),
        ((np.full((2, 3), np.nan),), (B,), "not finite"),
        ((W,), (np.full(3, np.inf),), "not finite"),
    ],
)
def test_impossible_layers_are_refused(
    weights: tuple[Any, ...], biases: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Representation(weights, biases)


def test_a_blob_without_its_layers_is_refused() -> None:
    facts = RepresentationFacts(layers=2)
    blob = pack({"layer_0_weight": W}, kind="representation", facts=facts)
    with pytest.raises(ValueError, match="holds float64 arrays"):
        Representation.from_bytes(blob)
