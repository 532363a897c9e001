"""Turn a customer's attributes into the numbers that a policy learns from."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeGuard

import numpy as np

from recommender.arrays import FloatArray, IntArray

MAX_SIZE = 128  # an artifact holds size² numbers for each offer, so 50 offers take 6.6 MB
MAX_SCALES = 8.0  # one absurd value must not outweigh a thousand sensible ones
LARGEST = sys.float_info.max
NUMBERS = (int, float)
NAN = float("nan")
EXACT = 2**53  # up to here, clients of every language mean the same whole number


@dataclass(frozen=True, slots=True)
class CategoryFeature:
    """One column for each known value: 1 where the attribute has it; all 0 when it has none."""

    attribute: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_attribute(self.attribute)
        if not self.values or not all(isinstance(value, str) and value for value in self.values):
            raise ValueError(f"“{self.attribute}” needs a list of values, each a non-empty text.")
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"“{self.attribute}” lists a value twice.")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, such as `segment=gold`."""
        return tuple(f"{self.attribute}={value}" for value in self.values)

    def encode(self, value: object) -> list[float]:
        """Mark the value's column; whole numbers and yes/no match by their shortest JSON text.

        So 3.0 is the value “3”: to many clients, and to a condition, it is the same number.
        """
        place = self.find(value)
        return [float(place == n) for n in range(len(self.values))]

    def find(self, value: object) -> int | None:
        """Return the place of the value's column, as `encode` marks it; None if it has none."""
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, int | float) and abs(value) <= EXACT and value == int(value):
            value = str(int(value))
        return self.values.index(value) if value in self.values else None

    def to_json(self) -> dict[str, Any]:
        """Write the feature as plain JSON."""
        return {"type": "category", "attribute": self.attribute, "values": list(self.values)}


@dataclass(frozen=True, slots=True)
class NumberFeature:
    """One column: how many scales the attribute lies above its centre; 0 when it is missing."""

    attribute: str
    centre: float
    scale: float

    def __post_init__(self) -> None:
        _check_attribute(self.attribute)
        if not (_is_number(self.centre) and _is_number(self.scale) and self.scale > 0):
            raise ValueError(f"“{self.attribute}” needs a numeric centre and a scale above 0.")

    @property
    def names(self) -> tuple[str, ...]:
        """The column's name."""
        return (self.attribute,)

    def encode(self, value: object) -> list[float]:
        """Centre and scale, at most 8 scales either way; yes/no counts as 1/0."""
        # Every decision encodes dozens of these, and a comparison is what costs least. It is also
        # safe: math.isfinite raises on an integer too large for a float.
        if not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
            return [0.0]
        scales = (value - self.centre) / self.scale
        if -MAX_SCALES <= scales <= MAX_SCALES:
            return [scales]
        return [MAX_SCALES if scales > 0 else -MAX_SCALES]

    def to_json(self) -> dict[str, Any]:
        """Write the feature as plain JSON."""
        return {
            "type": "number",
            "attribute": self.attribute,
            "centre": self.centre,
            "scale": self.scale,
        }


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Which attributes a policy looks at; the first column is always the intercept, 1."""

    features: tuple[CategoryFeature | NumberFeature, ...]
    # Number of columns, d, the intercept included.
    size: int = field(init=False, repr=False, compare=False)
    _columns: tuple[int, ...] = field(init=False, repr=False, compare=False)  # each one's first
    _numbers: "_Numbers" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sizes = (len(feature.names) for feature in self.features)
        *columns, size = accumulate(sizes, initial=1)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "_columns", tuple(columns))
        object.__setattr__(self, "_numbers", _Numbers.of(self.features, columns))
        attributes = [feature.attribute for feature in self.features]
        for attribute in attributes:
            if attributes.count(attribute) > 1:
                raise ValueError(f"“{attribute}” is used twice.")
        if self.size > MAX_SIZE:
            raise ValueError(f"These features need {self.size} columns; {MAX_SIZE} is the most.")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, shape (d,)."""
        return ("intercept", *(name for feature in self.features for name in feature.names))

    def encode(self, attributes: Mapping[str, object]) -> FloatArray:
        """Describe one customer as a row of d numbers.

        Attributes that are missing, of the wrong type or not finite leave their columns at 0.
        """
        row = [1.0]
        for feature in self.features:
            row += feature.encode(attributes.get(feature.attribute))
        return np.array(row)  # (d,)

    def encode_many(self, rows: Iterable[Mapping[str, object]]) -> FloatArray:
        """Describe customers as `encode` does, one row each, shape (n, d)."""
        rows = list(rows)
        encoded = np.zeros((len(rows), self.size))
        encoded[:, 0] = 1.0
        for feature, column in zip(self.features, self._columns, strict=True):
            if isinstance(feature, CategoryFeature):
                for n, row in enumerate(rows):
                    place = feature.find(row.get(feature.attribute))
                    if place is not None:
                        encoded[n, column + place] = 1.0
        self._numbers.encode(rows, into=encoded)
        return encoded

    def to_json(self) -> dict[str, Any]:
        """Write the specification as plain JSON."""
        return {"features": [feature.to_json() for feature in self.features]}

    @classmethod
    def from_json(cls, value: object) -> "FeatureSpec":
        """Read what `to_json` writes.

        Raises:
            ValueError: The JSON means no specification; the message can be shown in a form.
        """
        if not isinstance(value, dict) or set(value) != {"features"}:
            raise ValueError("Write features as an object with one entry, “features”.")
        if not isinstance(value["features"], list):
            raise ValueError("“features” must be a list.")
        return cls(tuple(_feature_from_json(item) for item in value["features"]))


@dataclass(frozen=True, slots=True, eq=False)
class _Numbers:
    """All features of one specification that are numbers, to encode many customers at once."""

    attributes: tuple[str, ...]
    columns: IntArray
    centre: FloatArray
    scale: FloatArray

    @classmethod
    def of(
        cls, features: Sequence[CategoryFeature | NumberFeature], columns: Sequence[int]
    ) -> "_Numbers":
        """Find them among all features, each with its first column."""
        found = [
            (feature, column)
            for feature, column in zip(features, columns, strict=True)
            if isinstance(feature, NumberFeature)
        ]
        return cls(
            attributes=tuple(feature.attribute for feature, _ in found),
            columns=np.array([column for _, column in found], dtype=np.int64),
            centre=np.array([feature.centre for feature, _ in found], dtype=np.float64),
            scale=np.array([feature.scale for feature, _ in found], dtype=np.float64),
        )

    def encode(self, rows: Sequence[Mapping[str, object]], *, into: FloatArray) -> None:
        """Write the columns of these features of customers, shape (n, d)."""
        if not self.attributes:
            return
        # NaN stands for all that says nothing.
        given = [
            [
                value if isinstance(value, NUMBERS) else NAN
                for value in map(row.get, self.attributes)
            ]
            for row in rows
        ]
        try:
            values = np.array(given, dtype=np.float64).reshape(len(rows), len(self.attributes))
        except OverflowError:
            values = np.array([[_to_float(value) for value in row] for row in given])
        values[~(np.abs(values) <= LARGEST)] = NAN
        scales = np.minimum(
            np.maximum((values - self.centre) / self.scale, -MAX_SCALES), MAX_SCALES
        )
        into[:, self.columns] = np.where(np.isnan(scales), 0.0, scales)


def _to_float(value: float) -> float:
    # A comparison is safe where a conversion raises.
    return float(value) if -LARGEST <= value <= LARGEST else NAN


def _feature_from_json(item: object) -> CategoryFeature | NumberFeature:
    match item:
        case {"type": "category", "attribute": str(attribute), "values": list(values), **rest}:
            feature: CategoryFeature | NumberFeature = CategoryFeature(attribute, tuple(values))
        case {"type": "number", "attribute": str(attribute), "centre": c, "scale": s, **rest}:
            feature = NumberFeature(attribute, c, s)
        case _:
            raise ValueError(
                "Each feature has a type: a “category” with an attribute and values, or a "
                f"“number” with an attribute, a centre and a scale. Found {item!r}."
            )
    if rest:
        raise ValueError(
            f"“{feature.attribute}” has unknown entries: {', '.join(sorted(map(str, rest)))}."
        )
    return feature


def _check_attribute(attribute: object) -> None:
    if not isinstance(attribute, str) or not attribute.strip():
        raise ValueError("Each feature needs the name of an attribute.")


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # A comparison, because math.isfinite raises on an integer too large for a float.
    return -LARGEST <= value <= LARGEST
