"""Ids are found at their places, in a table where they are dense and by search where not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from audience.columns.places import Places

DENSE = np.array([5, 3, 9, 4], np.int64)
SPARSE = np.array([5, 10**15, 7, -3], np.int64)


@pytest.mark.parametrize("ids", [DENSE, SPARSE, np.arange(10**6, 10**6 + 50_000)[::-1]])
def test_each_id_is_found_where_it_stands(ids: NDArray[np.int64]) -> None:
    places = Places(ids)
    assert np.array_equal(places.find(ids), np.arange(len(ids)))
    assert places.find(np.empty(0, np.int64)).tolist() == []
    assert places.find(ids[1:2]).tolist() == [1]


@pytest.mark.parametrize("ids", [DENSE, SPARSE, np.empty(0, np.int64)])
@pytest.mark.parametrize("stranger", [-(10**15), 0, 6, 10, 10**16])
def test_an_id_that_is_not_there_is_an_error(ids: NDArray[np.int64], stranger: int) -> None:
    with pytest.raises(LookupError, match="is not there"):
        Places(ids).find(np.array([*ids, stranger], np.int64))


def test_nothing_is_found_among_nothing() -> None:
    assert Places().find(np.empty(0, np.int64)).tolist() == []
