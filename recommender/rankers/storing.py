"""Store what a ranker learned as one blob, and read it back: never as pickle."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import msgspec
from scipy import sparse

from recommender.artifacts import AnyArray, pack_any, unpack_any
from recommender.rankers import make_ranker, name_of
from recommender.rankers.base import Ranker

KIND = "ranker"
SPARSE_PARTS = ("data", "indices", "indptr")

Arrays = dict[str, AnyArray]


class Described(msgspec.Struct, forbid_unknown_fields=True):
    """All of a ranker that is not an array.

    Attributes:
        name: Under which it is listed.
        settings: What it was made with.
        shapes: Of its sparse matrices, by the names of their fields.
        members: The rankers that it is made of, if any.
    """

    name: str
    settings: dict[str, Any]
    shapes: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    members: list["Described"] = msgspec.field(default_factory=list)


def to_bytes(ranker: Ranker) -> bytes:
    """Write a ranker that has learned as a safetensors blob."""
    arrays: Arrays = {}
    return pack_any(arrays, kind=KIND, facts=_describe(ranker, arrays, prefix=""))


def from_bytes(blob: bytes) -> Ranker:
    """Read what `to_bytes` wrote: a ranker that gives the same scores.

    Raises:
        ValueError: The blob is damaged, of another kind, or lacks something.
    """
    arrays, described = unpack_any(blob, kind=KIND, facts=Described)
    try:
        return _restore(described, arrays, prefix="")
    except KeyError as error:
        raise ValueError(f"This ranker lacks the array {error}.") from error


def _describe(ranker: Ranker, arrays: Arrays, *, prefix: str) -> Described:
    """Describe a ranker, and put its arrays to the others under names that begin with a prefix."""
    described = Described(name=name_of(ranker), settings=ranker.settings())
    for name in _learned(ranker):
        value = getattr(ranker, name)
        if isinstance(value, sparse.csr_array):
            described.shapes[name] = value.shape
            arrays |= {f"{prefix}{name}.{part}": getattr(value, part) for part in SPARSE_PARTS}
        elif isinstance(value, list):
            described.members = [
                _describe(member, arrays, prefix=f"{prefix}{place}/")
                for place, member in enumerate(value)
            ]
        elif isinstance(value, Mapping):
            arrays |= {f"{prefix}{name}:{key}": array for key, array in value.items()}
        else:
            arrays[f"{prefix}{name}"] = value
    return described


def _restore(described: Described, arrays: Arrays, *, prefix: str) -> Ranker:
    ranker = make_ranker(described.name, described.settings)
    for name in _learned(ranker):
        start = f"{prefix}{name}:"
        if name in described.shapes:
            parts = tuple(arrays[f"{prefix}{name}.{part}"] for part in SPARSE_PARTS)
            value: Any = sparse.csr_array(parts, shape=described.shapes[name])
        elif name == "rankers":
            value = [
                _restore(member, arrays, prefix=f"{prefix}{place}/")
                for place, member in enumerate(described.members)
            ]
        elif any(key.startswith(start) for key in arrays):
            value = {
                key.removeprefix(start): array
                for key, array in arrays.items()
                if key.startswith(start)
            }
        else:
            value = arrays[f"{prefix}{name}"]
        setattr(ranker, name, value)
    return ranker


def _learned(ranker: Ranker) -> Iterator[str]:
    """Name what it learned; a name that begins with _ is of something that follows from that."""
    return (each.name for each in fields(ranker) if not each.init and not each.name.startswith("_"))
