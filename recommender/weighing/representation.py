"""Turn encoded customers into what a network has learned to see in them, without torch.

A customer x becomes [x, h], where h are the values of the network's last hidden layer: layer after
layer, h ← tanh(h W + b). Offers are linear in that (`bandits/neural_linear.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from recommender.arrays import FloatArray
from recommender.artifacts import pack, require_arrays, unpack_any

KIND = "representation"


class RepresentationFacts(msgspec.Struct, forbid_unknown_fields=True):
    """What the artifact says beside its arrays: how many layers there are."""

    layers: int


@dataclass(frozen=True, slots=True, eq=False)
class Representation:
    """The hidden layers of a network.

    Attributes:
        weights: W of each layer, shape (inputs, outputs); the first's inputs are a customer's d
            columns.
        biases: b of each layer, shape (outputs,).
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]

    def __post_init__(self) -> None:
        if not self.weights or len(self.weights) != len(self.biases):
            raise ValueError("A representation has at least one layer, each with its biases.")
        width = len(self.weights[0])
        for w, b in zip(self.weights, self.biases, strict=True):
            if w.ndim != 2 or len(w) != width or b.shape != w.shape[1:]:
                raise ValueError(f"A layer of shapes {w.shape} and {b.shape} does not fit {width}.")
            if not (np.isfinite(w).all() and np.isfinite(b).all()):
                raise ValueError("The layers of this representation are not finite.")
            width = len(b)

    @property
    def inputs(self) -> int:
        """How many columns customers have."""
        return len(self.weights[0])

    @property
    def size(self) -> int:
        """How many columns become of them."""
        return self.inputs + len(self.biases[-1])

    def represent(self, x: FloatArray) -> FloatArray:
        """Return what is seen in customers, (..., inputs) to (..., size)."""
        seen = x
        for w, b in zip(self.weights, self.biases, strict=True):
            seen = np.tanh(seen @ w + b)
        return np.concatenate([x, seen], axis=-1)

    def to_arrays(self) -> dict[str, FloatArray]:
        """Name the arrays, for an artifact."""
        return {
            name: array
            for place, layer in enumerate(zip(self.weights, self.biases, strict=True))
            for name, array in zip(_names(place), layer, strict=True)
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray], *, layers: int) -> "Representation":
        """Read what `to_arrays` named."""
        names = [_names(place) for place in range(layers)]
        return cls(
            weights=tuple(arrays[weight] for weight, _ in names),
            biases=tuple(arrays[bias] for _, bias in names),
        )

    def to_bytes(self) -> bytes:
        """Write the layers as a safetensors blob."""
        facts = RepresentationFacts(layers=len(self.weights))
        return pack(self.to_arrays(), kind=KIND, facts=facts)

    @classmethod
    def from_bytes(cls, blob: bytes) -> "Representation":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: The blob is damaged, holds something else, or its layers do not fit.
        """
        arrays, facts = unpack_any(blob, kind=KIND, facts=RepresentationFacts)
        require_arrays(arrays, kind=KIND, names=layer_names(facts.layers))
        return cls.from_arrays(arrays, layers=facts.layers)


def layer_names(layers: int) -> tuple[str, ...]:
    """Return the names of the arrays of so many layers."""
    return tuple(name for place in range(layers) for name in _names(place))


def _names(place: int) -> tuple[str, str]:
    return f"layer_{place}_weight", f"layer_{place}_bias"
