"""Turns our SVG into pictures and pages; fonts come along, and nothing is read from outside."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import typst

INCH_PIXELS = 96.0
PICTURE = """
#set page(width: auto, height: auto, margin: 8pt, fill: white)
#set text(font: "DejaVu Sans Mono")
#image(bytes(sys.inputs.svg), format: "svg")
"""


def to_png(svg: str, *, scale: float = 2.0) -> bytes:
    """Draw an SVG as PNG, black on white.

    Args:
        svg: Of `experiments.charts`.
        scale: Pixels for each of the SVG's own.
    """
    return _compile(PICTURE.encode(), {"svg": on_paper(svg)}, kind="png", ppi=scale * 72)


def draw_pdf(template: Path, report: Mapping[str, Any]) -> bytes:
    """Set a report by a template; all of its words are data.

    Args:
        template: Written in Typst.
        report: As JSON values.
    """
    return _compile(_read(template), {"report": json.dumps(report)}, kind="pdf")


def on_paper(svg: str) -> str:
    """Let what takes the page's colour be black."""
    return svg.replace("currentColor", "#000000")


def _compile(
    source: bytes, inputs: dict[str, str], *, kind: Literal["png", "pdf"], ppi: float | None = None
) -> bytes:
    made = typst.compile(source, format=kind, ppi=ppi, sys_inputs=inputs, ignore_system_fonts=True)
    assert isinstance(made, bytes), "one page as a picture, or all of them as one document"
    return made


@cache
def _read(template: Path) -> bytes:
    return template.read_bytes()
