"""Turns our SVG into pictures and pages; fonts come along, and nothing is read from outside."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import typst

# Typst takes a pixel of an SVG for 1/96 inch, as CSS does.
PIXELS_PER_INCH = 96
# Where Typst may read files: in this folder, which has no picture.
NOTHING = Path(__file__).parent
# White around a picture, so that no line touches an edge; 6 points are 8 of the SVG's pixels.
PICTURE = """
#set page(width: auto, height: auto, margin: 6pt, fill: white)
#image(bytes(sys.inputs.svg), format: "svg")
"""


def to_png(svg: str, *, scale: float = 2.0) -> bytes:
    """Draw an SVG as PNG, black on white.

    Args:
        svg: Of `experiments.charts`.
        scale: Pixels for each of the SVG's own; a margin of 8 of the SVG's goes around it.
    """
    return _compile(
        PICTURE.encode(), {"svg": on_paper(svg)}, kind="png", ppi=scale * PIXELS_PER_INCH
    )


def draw_pdf(template: Path, report: Mapping[str, Any]) -> bytes:
    """Set a report by a template; all of its words are data.

    Args:
        template: Written in Typst.
        report: As JSON values.
    """
    return _compile(_read(template), {"report": json.dumps(report)}, kind="pdf")


def on_paper(svg: str) -> str:
    """Let what takes the page's colour be black; labels that say the word keep it."""
    return svg.replace('"currentColor"', '"#000000"')


def _compile(
    source: bytes, inputs: dict[str, str], *, kind: Literal["png", "pdf"], ppi: float | None = None
) -> bytes:
    # typst's types want the root to be bytes because the source is; it takes paths only.
    made = typst.compile(  # type: ignore[type-var]
        source, root=NOTHING, format=kind, ppi=ppi, sys_inputs=inputs, ignore_system_fonts=True
    )
    assert isinstance(made, bytes), "one page as a picture, or all of them as one document"
    return made


@cache
def _read(template: Path) -> bytes:
    return template.read_bytes()
