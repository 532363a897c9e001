"""Store arrays and the facts about them as one safetensors blob, never as pickle."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recommender.arrays import FloatArray

AnyArray = npt.NDArray[Any]
F = TypeVar("F", bound=msgspec.Struct)

HEADER_LENGTH_BYTES = 8  # safetensors begins with its header's length, little-endian


class Header(msgspec.Struct):
    """The part of a safetensors header that its own loader keeps to itself."""

    metadata: dict[str, str] = msgspec.field(name="__metadata__", default_factory=dict)


def pack(arrays: Mapping[str, FloatArray], *, kind: str, facts: msgspec.Struct) -> bytes:
    """Write arrays as float64, with their kind and facts in the header.

    Args:
        arrays: Arrays of one or more dimensions by name.
        kind: What the blob holds, so that one kind is never read as another.
        facts: Everything that is not an array.
    """
    exact = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
    return pack_any(exact, kind=kind, facts=facts)


def pack_any(arrays: Mapping[str, AnyArray], *, kind: str, facts: msgspec.Struct) -> bytes:
    """Do as `pack`, and keep each array's own type of number."""
    return save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        # One entry only: safetensors writes several in random order, and equal artifacts should
        # be equal bytes.
        metadata={kind: msgspec.json.encode(facts).decode()},
    )


def unpack(
    blob: bytes, *, kind: str, names: tuple[str, ...], facts: type[F]
) -> tuple[dict[str, FloatArray], F]:
    """Read back what `pack` wrote, and refuse everything else.

    Raises:
        ValueError: The blob is damaged, of another kind, or lacks an array or a fact.
    """
    arrays, said = _load(blob, kind=kind)
    require_arrays(arrays, kind=kind, names=names)
    return arrays, _decode(said, kind=kind, facts=facts)


def require_arrays(arrays: Mapping[str, AnyArray], *, kind: str, names: tuple[str, ...]) -> None:
    """Refuse an artifact that holds other arrays than these, or other numbers than float64.

    Raises:
        ValueError: It does.
    """
    held = {name: str(array.dtype) for name, array in arrays.items()}
    if held != dict.fromkeys(names, "float64"):
        raise ValueError(
            f"An artifact of {kind} holds float64 arrays {sorted(names)}, found {held}."
        )


def unpack_any(blob: bytes, *, kind: str, facts: type[F]) -> tuple[dict[str, AnyArray], F]:
    """Read back what `pack_any` wrote, whatever arrays there are.

    Raises:
        ValueError: The blob is damaged, of another kind, or lacks a fact.
    """
    arrays, said = _load(blob, kind=kind)
    return arrays, _decode(said, kind=kind, facts=facts)


def _load(blob: bytes, *, kind: str) -> tuple[dict[str, AnyArray], str]:
    """Return the arrays, and the facts as they are written."""
    try:
        arrays = load(blob)
    except SafetensorError as error:
        raise ValueError(f"Not a readable artifact of {kind}: {error}.") from error
    end = HEADER_LENGTH_BYTES + int.from_bytes(blob[:HEADER_LENGTH_BYTES], "little")
    metadata = msgspec.json.decode(blob[HEADER_LENGTH_BYTES:end], type=Header).metadata
    if kind not in metadata:
        found = ", ".join(metadata) or "something else"
        raise ValueError(f"Expected an artifact of {kind}, this one holds {found}.")
    return arrays, metadata[kind]


def _decode(said: str, *, kind: str, facts: type[F]) -> F:
    try:
        return msgspec.json.decode(said, type=facts)
    except msgspec.DecodeError as error:
        raise ValueError(f"The facts of this artifact of {kind} are damaged: {error}.") from error
