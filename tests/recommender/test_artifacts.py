"""Artifacts come back as written, or not at all."""

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save

from recommender.artifacts import pack, unpack


class Facts(msgspec.Struct):
    colour: str


X = np.arange(6.0).reshape(2, 3)
BLOB = pack({"x": X}, kind="paint", facts=Facts(colour="red"))


def test_round_trip() -> None:
    arrays, facts = unpack(BLOB, kind="paint", names=("x",), facts=Facts)
    np.testing.assert_array_equal(arrays["x"], X)
    assert facts == Facts(colour="red")


def test_equal_contents_are_equal_bytes() -> None:
    assert pack({"x": X.copy()}, kind="paint", facts=Facts(colour="red")) == BLOB


def test_transposed_arrays_keep_their_meaning() -> None:
    blob = pack({"x": X.T}, kind="paint", facts=Facts(colour="red"))
    arrays, _ = unpack(blob, kind="paint", names=("x",), facts=Facts)
    np.testing.assert_array_equal(arrays["x"], X.T)


@pytest.mark.parametrize("blob", [b"", b"pickle", BLOB[:-1], b"\0" * 100])
def test_a_damaged_blob_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match="Not a readable artifact of paint"):
        unpack(blob, kind="paint", names=("x",), facts=Facts)


def test_a_blob_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected an artifact of wood, this one holds paint"):
        unpack(BLOB, kind="wood", names=("x",), facts=Facts)


def test_a_foreign_safetensors_file_is_refused() -> None:
    with pytest.raises(ValueError, match="this one holds something else"):
        unpack(save({"x": X}), kind="paint", names=("x",), facts=Facts)


def test_missing_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match=r"holds float64 arrays \['x', 'y'\]"):
        unpack(BLOB, kind="paint", names=("x", "y"), facts=Facts)


def test_arrays_of_another_precision_are_refused() -> None:
    blob = save({"x": X.astype(np.float32)}, metadata={"paint": "{}"})
    with pytest.raises(ValueError, match="float32"):
        unpack(blob, kind="paint", names=("x",), facts=Facts)


@pytest.mark.parametrize("facts", ["", "{}", '{"colour": 1}'])
def test_damaged_facts_are_refused(facts: str) -> None:
    with pytest.raises(ValueError, match="facts of this artifact of paint are damaged"):
        unpack(save({"x": X}, metadata={"paint": facts}), kind="paint", names=("x",), facts=Facts)
