"""A histogram's bars are as high as what they count."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from experiments.charts import histogram

NS = "{http://www.w3.org/2000/svg}"


def parse(counts: list[int]) -> ElementTree.Element:
    svg = histogram(counts, low="p = 0", high="p = 1", title="p <values>", text="In halves.")
    assert "style=" not in svg
    return ElementTree.fromstring(svg)  # noqa: S314 (our own output)


def test_bars_are_as_high_as_their_counts() -> None:
    root = parse([10, 5, 0, 1])
    heights = [float(bar.get("height", -1)) for bar in root.iter(f"{NS}rect")]
    assert [height / heights[0] for height in heights] == pytest.approx([1, 0.5, 0, 0.1], abs=0.01)


def test_bars_stand_beside_each_other_on_one_floor() -> None:
    bars = list(parse([3, 1, 2]).iter(f"{NS}rect"))
    feet = [float(bar.get("y", 0)) + float(bar.get("height", 0)) for bar in bars]
    assert feet == pytest.approx([feet[0]] * 3, abs=0.11)
    edges = [(float(b.get("x", 0)), float(b.get("x", 0)) + float(b.get("width", 0))) for b in bars]
    assert all(left[1] < right[0] for left, right in pairwise(edges))


def test_the_line_is_where_all_bars_would_end_if_they_were_the_same() -> None:
    root = parse([2, 2])
    line = root.find(f"{NS}line")
    bar = root.find(f"{NS}rect")
    assert line is not None
    assert bar is not None
    assert float(line.get("y1", 0)) == pytest.approx(float(bar.get("y", -1)), abs=0.11)


def test_its_ends_and_its_words_are_said() -> None:
    root = parse([1, 2])
    assert [element.text for element in root.iter(f"{NS}text")] == ["p = 0", "p = 1"]
    assert root.findtext(f"{NS}title") == "p <values>"
    assert root.findtext(f"{NS}desc") == "In halves."


def test_no_values_are_drawn_flat_and_no_parts_are_refused() -> None:
    assert [bar.get("height") for bar in parse([0, 0]).iter(f"{NS}rect")] == ["0.0", "0.0"]
    with pytest.raises(ValueError, match="at least one part"):
        histogram([], low="", high="", title="", text="")
