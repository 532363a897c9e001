"""Charts: what a reader, a screen reader and a browser get."""

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from experiments.charts import ForestRow, RateRow, forest_plot, rates_chart

NS = "{http://www.w3.org/2000/svg}"
UP = ForestRow("Men's e-mail", 0.64, 0.72, 0.81, "+72% (+64% to +81%)")
DOWN = ForestRow("Discount", -0.3, -0.2, -0.1, "−20%")
UNCLEAR = ForestRow("Banner", -0.1, 0.02, 0.15, "+2%")
RATE = RateRow("No e-mail", 0.106, 0.102, 0.11, "10.6%")

DRAWINGS: list[Callable[[], str]] = [
    lambda: forest_plot([UP, DOWN, UNCLEAR], unit="percent"),
    lambda: rates_chart([RATE, RateRow("Refunds", -0.05, -0.08, -0.02, "−5%")], unit="percent"),
]


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 (our own output)


def words(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{NS}text")]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_chart_is_an_image_with_a_name_and_words(draw: Callable[[], str]) -> None:
    root = parse(draw())
    assert root.tag == f"{NS}svg"
    assert root.get("role") == "img"
    # Browsers take the name from the first child.
    assert [child.tag for child in root][:2] == [f"{NS}title", f"{NS}desc"]
    assert root.findtext(f"{NS}title")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_chart_needs_nothing_from_outside(draw: Callable[[], str]) -> None:
    svg = draw()
    tags = {element.tag.removeprefix(NS) for element in parse(svg).iter()}
    assert tags <= {"svg", "title", "desc", "g", "line", "path", "rect", "text"}
    assert svg.count("http") == 1  # the name space
    assert "style=" not in svg  # a content security policy would refuse it
    assert "nan" not in svg


@pytest.mark.parametrize("draw", DRAWINGS)
def test_everything_is_drawn_inside_the_picture(draw: Callable[[], str]) -> None:
    root = parse(draw())
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for element in root.iter():
        for name, value in element.items():
            if name in {"x", "x1", "x2"}:
                assert 0 <= float(value) <= width
            if name in {"y", "y1", "y2"}:
                assert 0 <= float(value) <= height


def test_the_words_of_every_row_are_also_the_text_alternative() -> None:
    root = parse(forest_plot([UP, DOWN], unit="percent", title="Lift of visits"))
    assert root.findtext(f"{NS}title") == "Lift of visits"
    assert root.findtext(f"{NS}desc") == "Men's e-mail: +72% (+64% to +81%). Discount: −20%."
    assert {"Men's e-mail", "+72% (+64% to +81%)", "Discount"} <= set(words(root))


def test_direction_shows_in_shape_and_not_only_in_colour() -> None:
    root = parse(forest_plot([UP, DOWN, UNCLEAR], unit="percent"))
    groups = root.findall(f"{NS}g")
    assert [group.get("class") for group in groups] == ["chart-up", "chart-down", "chart-unclear"]
    shapes = [(group.findtext("x"), group.find(f"{NS}path")) for group in groups]
    drawn = [path.get("d", "") for _, path in shapes if path is not None]
    assert "l14 8" in drawn[0]
    assert "l-14 8" in drawn[1]
    assert "a6 6" in drawn[2]


def test_an_interval_that_touches_zero_is_unclear() -> None:
    assert "chart-unclear" in forest_plot([ForestRow("A", 0.0, 0.1, 0.2, "")], unit="number")


def test_positions_follow_the_values() -> None:
    root = parse(forest_plot([DOWN, UP], unit="percent"))
    ends = []
    for group in root.findall(f"{NS}g"):
        whisker = group.find(f"{NS}line")
        assert whisker is not None
        ends += [float(whisker.get("x1", 0)), float(whisker.get("x2", 0))]
    assert ends == sorted(ends)


def test_bars_start_at_zero_on_either_side() -> None:
    root = parse(
        rates_chart([RateRow("A", 5, 4, 6, ""), RateRow("B", -5, -6, -4, "")], unit="number")
    )
    right, left = root.findall(f"{NS}rect")
    zero = float(right.get("x", 0))
    assert float(left.get("x", 0)) + float(left.get("width", 0)) == pytest.approx(zero, abs=0.11)
    assert float(left.get("width", 0)) == pytest.approx(float(right.get("width", 0)), abs=0.11)


def test_names_are_escaped() -> None:
    hostile = '<script>alert("1")</script>&'
    for svg in (
        forest_plot([ForestRow(hostile, 0, 1, 2, hostile)], unit="number", title=hostile),
        rates_chart([RateRow(hostile, 1, 0, 2, hostile)], unit="number", title=hostile),
    ):
        assert "<script" not in svg
        assert parse(svg).findtext(f"{NS}title") == hostile


def test_a_long_name_is_cut_on_the_picture_and_whole_in_its_description() -> None:
    name = "A name that somebody typed without ever looking at the report"
    root = parse(forest_plot([ForestRow(name, 0, 1, 2, "+100% (0% to +200%)")], unit="percent"))
    shown = words(root)
    assert name not in shown
    assert any(word.endswith("…") and name.startswith(word[:-1]) for word in shown)
    assert name in (root.findtext(f"{NS}desc") or "")


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        forest_plot([], unit="percent")
    with pytest.raises(ValueError, match="at least one row"):
        rates_chart([], unit="percent")
