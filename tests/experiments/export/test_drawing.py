"""Pictures are drawn in the size asked for, black on white, from nothing but their own text."""

import struct
import zlib
from pathlib import Path

import pytest

from experiments.charts import ForestRow, forest_plot
from experiments.export.drawing import on_paper, to_png

SQUARE = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">{}</svg>'
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def size_of(png: bytes) -> tuple[int, int]:
    """Read width and height."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def colour_in_the_middle(png: bytes) -> tuple[int, ...]:
    """Read the pixel in the middle of the middle row (PNG, section 9: filters)."""
    width, height = size_of(png)
    assert png[24:26] in (b"\x08\x06", b"\x08\x02"), "8 bits of RGB, with or without alpha"
    step = 4 if png[25] == 6 else 3
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        data += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    raw, stride = zlib.decompress(data), width * step
    above = bytes(stride)
    for number in range(height // 2 + 1):
        start = number * (stride + 1)
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + stride])
        for x in range(stride):
            a, b = row[x - step] if x >= step else 0, above[x]
            c = above[x - step] if x >= step else 0
            nearest = min((a, b, c), key=lambda value: abs(a + b - c - value))
            row[x] = (row[x] + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
        above = bytes(row)
    middle = width // 2 * step
    return tuple(above[middle : middle + 3])


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.0])
def test_a_picture_has_so_many_pixels_for_each_of_the_svgs(scale: float) -> None:
    svg = forest_plot([ForestRow("<New> & old", -0.1, 0.1, 0.3, "+10%")], unit="percent")
    assert 'width="640"' in svg
    png = to_png(svg, scale=scale)
    assert png.startswith(b"\x89PNG")
    assert size_of(png)[0] == round(scale * (640 + 2 * 8))


def test_the_pages_colour_is_black_and_the_ground_white() -> None:
    inked = SQUARE.format('<rect width="10" height="10" fill="currentColor"/>')
    assert colour_in_the_middle(to_png(inked)) == BLACK
    assert colour_in_the_middle(to_png(SQUARE.format(""))) == WHITE


def test_a_label_that_says_the_word_keeps_it() -> None:
    svg = SQUARE.format('<text fill="currentColor">currentColor</text>')
    assert on_paper(svg) == SQUARE.format('<text fill="#000000">currentColor</text>')


@pytest.mark.parametrize(
    "address", ["black.png", "{}/black.png", "file://{}/black.png", "http://127.0.0.1:9/black.png"]
)
def test_a_picture_reads_nothing_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    black = to_png(SQUARE.format('<rect width="10" height="10" fill="black"/>'))
    (tmp_path / "black.png").write_bytes(black)
    monkeypatch.chdir(tmp_path)
    linked = SQUARE.format(f'<image width="10" height="10" href="{address.format(tmp_path)}"/>')
    with pytest.raises(RuntimeError, match="failed to load linked image"):
        to_png(linked)
