"""Lay customers along one attribute, in groups that a condition can tell apart.

A split is exact twice: by the numbers that a policy sees and by a condition on the attributes that
a client knows. So a condition says all that `FeatureSpec` does: an attribute that is missing or of
another type stands at a number's centre and in no category, and yes/no counts as 1/0 and as a text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.weighing.features import (
    EXACT,
    MAX_SCALES,
    CategoryFeature,
    FeatureSpec,
    NumberFeature,
)

# A number is cut at so many places at most, as evenly over the customers as can be.
MOST_CUTS = 31

Condition = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class NumberAxis:
    """A number, cut into ranges.

    Attributes:
        feature: The number.
        column: Where it stands in an encoded customer.
        cuts: Encoded values that begin a range, ascending; the first range begins nowhere.
        places: The range of each customer of the sample, from 0 on, shape (n,).
    """

    feature: NumberFeature
    column: int
    cuts: FloatArray
    places: IntArray

    @property
    def n_groups(self) -> int:
        """How many ranges there are."""
        return len(self.cuts) + 1

    def group(self, x: FloatArray) -> IntArray:
        """Find the range of each encoded customer, (n, d) to (n,)."""
        return np.searchsorted(self.cuts, x[:, self.column], side="right")

    def candidates(self, count: FloatArray, mean: FloatArray) -> BoolArray:
        """List the sets of ranges to try as one side: all below each cut, (C, G)."""
        return np.tri(self.n_groups - 1, self.n_groups, dtype=bool)

    def conditions(self, marked: BoolArray) -> tuple[Condition, Condition]:
        """Write who is below a cut, and who is not."""
        cut = float(self.cuts[np.count_nonzero(marked) - 1])
        bound, name = _least_at(self.feature, cut), self.feature.attribute
        # Whoever has no number stands at 0; the other side can be said of what is known.
        operator: str = "$gte" if cut > 0 else "$lt"
        answers = [answer for answer in (False, True) if (answer >= bound) is (cut > 0)]
        said = _any([{name: {"$type": "number", operator: bound}}, *_booleans(name, answers)])
        return ({"$not": said}, said) if cut > 0 else (said, {"$not": said})


@dataclass(frozen=True, slots=True, eq=False)
class CategoryAxis:
    """A category; the last group are all customers who have none of the values.

    Attributes:
        feature: The category.
        column: Where its first value stands in an encoded customer.
        places: The group of each customer of the sample, shape (n,).
    """

    feature: CategoryFeature
    column: int
    places: IntArray

    @property
    def n_groups(self) -> int:
        """How many values there are, and none of them."""
        return len(self.feature.values) + 1

    def group(self, x: FloatArray) -> IntArray:
        """Find the group of each encoded customer, (n, d) to (n,)."""
        return _category_of(x, self.column, len(self.feature.values))

    def candidates(self, count: FloatArray, mean: FloatArray) -> BoolArray:
        """List the sets of groups to try as one side, (C, G).

        Each group by itself, and the first ones in an order in which similar groups stand together:
        along the direction in which what offers are expected to earn differs most between groups.
        With two offers, one of these is the best of all sets (Fisher 1958).

        Args:
            count: Customers in each group, shape (G,).
            mean: Sums over each group of expected rewards, shape (G, K).
        """
        present = np.flatnonzero(count)
        average = mean[present] / count[present, None]  # (P, K)
        # What all offers share of a difference favours none of them.
        average = average - average.mean(axis=1, keepdims=True)
        centred = average - np.average(average, axis=0, weights=count[present])
        _, _, directions = np.linalg.svd(centred * np.sqrt(count[present])[:, None])
        order = present[np.argsort(centred @ directions[0], kind="stable")]  # (P,)
        firsts = np.zeros((len(order) - 1, self.n_groups), dtype=bool)
        for taken in range(1, len(order)):
            firsts[taken - 1, order[:taken]] = True
        return np.concatenate([firsts, np.eye(self.n_groups, dtype=bool)[present]])

    def conditions(self, marked: BoolArray) -> tuple[Condition, Condition]:
        """Write who is in the marked groups, and who is not."""
        # Having none of the values can only be said as the contrary of having one.
        is_turned = bool(marked[-1])
        named = ~marked if is_turned else marked
        values = [v for v, is_in in zip(self.feature.values, named[:-1], strict=True) if is_in]
        said = _any(_values(self.feature.attribute, values))
        return ({"$not": said}, said) if is_turned else (said, {"$not": said})


Axis = NumberAxis | CategoryAxis


def axes_of(spec: FeatureSpec, x: FloatArray) -> tuple[Axis, ...]:
    """Lay encoded customers, shape (n, d), along every attribute that a condition can name."""
    axes: list[Axis] = []
    column = 1
    for feature in spec.features:
        if _can_be_said(feature):
            if isinstance(feature, NumberFeature):
                cuts = _cuts_of(feature, x[:, column])
                places = np.searchsorted(cuts, x[:, column], side="right")
                axes.append(NumberAxis(feature, column, cuts, places))
            else:
                places = _category_of(x, column, len(feature.values))
                axes.append(CategoryAxis(feature, column, places))
        column += len(feature.names)
    return tuple(axes)


def _can_be_said(feature: CategoryFeature | NumberFeature) -> bool:
    # A condition takes a dot for a way into an object, and a dollar for an operator.
    if "." in feature.attribute or feature.attribute.startswith("$"):
        return False
    return (
        isinstance(feature, CategoryFeature)
        or abs(feature.centre) + MAX_SCALES * feature.scale <= EXACT
    )


def _category_of(x: FloatArray, column: int, count: int) -> IntArray:
    columns = x[:, column : column + count]  # (n, V)
    # Where several are marked in part, because they are means, the greatest part decides.
    return np.where(columns.max(axis=1) > 0.5, columns.argmax(axis=1), count)


def _cuts_of(feature: NumberFeature, values: FloatArray) -> FloatArray:
    """Find values between those that occur, each the encoding of a number that is easily read."""
    distinct = np.unique(values)
    if len(distinct) > MOST_CUTS + 1:
        shares = np.arange(1, MOST_CUTS + 1) / (MOST_CUTS + 1)
        uppers = np.unique(np.quantile(values, shares, method="higher"))
        above = np.searchsorted(distinct, uppers)
    else:
        above = np.arange(len(distinct))
    cuts: list[float] = []
    for low, high in zip(distinct[above[above > 0] - 1], distinct[above[above > 0]], strict=True):
        raw = _between(*(feature.centre + each * feature.scale for each in (low, high)))
        cut = feature.encode(raw)[0]
        # Numbers far from a centre on whose scale they hardly differ cannot be told apart.
        if low < cut <= high:
            cuts.append(cut)
    return np.array(cuts)


def _between(low: float, high: float) -> float:
    """Return the number with the fewest digits above one number and not above another."""
    middle = low + (high - low) / 2
    for digits in range(16):
        plain = float(f"{middle:.{digits}e}")
        if low < plain <= high:
            return plain
    return high


def _least_at(feature: NumberFeature, cut: float) -> float:
    """Find the least number whose encoding reaches a cut; encoding never falls."""

    def reaches(number: float) -> bool:
        return feature.encode(number)[0] >= cut

    near = feature.centre + cut * feature.scale
    # Four roundings lie between a number and its encoding, each of 1.1e-16 of what is at most
    # eight scales or the number itself: 3e-15 together.
    margin = max(abs(near), feature.scale) * 1e-14
    return _bisect(near - margin, near + margin, reaches)


def _bisect(low: float, high: float, reaches: Callable[[float], bool]) -> float:
    """Find the least number that reaches, between one that does not and one that does."""
    while low < (middle := low + (high - low) / 2) < high:
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _values(name: str, values: Sequence[str]) -> list[Condition]:
    """Write that an attribute is one of some texts, as `CategoryFeature` reads it.

    Types are said besides, because to Python 1 is true.
    """
    said: list[Condition] = [{name: {"$type": "string", "$in": list(values)}}]
    if numbers := [number for value in values if (number := _to_number(value)) is not None]:
        said.append({name: {"$type": "number", "$in": numbers}})
    return said + _booleans(name, [text == "true" for text in ("false", "true") if text in values])


def _booleans(name: str, answers: Sequence[bool]) -> list[Condition]:
    if len(answers) == 2:
        return [{name: {"$type": "boolean"}}]
    return [{name: {"$type": "boolean", "$eq": answer}} for answer in answers]


def _to_number(text: str) -> int | None:
    """Return the whole number that is written as this text, if there is one."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if str(number) == text and abs(number) <= EXACT else None


def _any(conditions: list[Condition]) -> Condition:
    return conditions[0] if len(conditions) == 1 else {"$or": conditions}
