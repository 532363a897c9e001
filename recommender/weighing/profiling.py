"""Propose how a policy should look at customers, from a sample of their attributes."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature

MOST_VALUES = 12
LARGEST = 1e100


def name_attributes(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """List the attributes that describe customers well enough to learn from, the commonest first.

    An attribute that is different for everybody, such as a name, says nothing about others.
    """
    counts = Counter(name for row in rows for name in row)
    return [name for name, _ in counts.most_common() if _fit(name, rows) is not None]


def fit_features(rows: Sequence[Mapping[str, object]], attributes: Sequence[str]) -> FeatureSpec:
    """Encode these attributes: numbers around their mean, words by their commonest values.

    Raises:
        ValueError: An attribute is not in the sample, or is different for everybody.
    """
    features = []
    for name in attributes:
        feature = _fit(name, rows)
        if feature is None:
            raise ValueError(f"The customers known so far do not tell how to use {name!r}.")
        features.append(feature)
    return FeatureSpec(tuple(features))


def _fit(name: str, rows: Sequence[Mapping[str, object]]) -> CategoryFeature | NumberFeature | None:
    values = [row[name] for row in rows if name in row]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) > len(values) / 2:
        return _fit_numbers(name, numbers)
    words = Counter(v for v in values if isinstance(v, str) and v)
    words.update(str(v).lower() for v in values if isinstance(v, bool))
    common = [value for value, n in words.most_common(MOST_VALUES) if n > 1]
    return CategoryFeature(name, tuple(sorted(common))) if len(words) > 1 and common else None


def _fit_numbers(name: str, numbers: Sequence[float]) -> NumberFeature | None:
    # Squares of larger ones leave what a float can hold.
    if any(abs(number) > LARGEST for number in numbers):
        return None
    scale = float(np.std(numbers))
    return NumberFeature(name, float(np.mean(numbers)), scale) if scale > 0 else None
