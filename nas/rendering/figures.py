"""matplotlib figures as bytes, without pyplot."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

DPI = 96


def blank(width: float, height: float) -> Figure:
    """An empty white figure of this size in pixels, with a layout that keeps labels and legends apart."""
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white", layout="constrained")


def encoded(figure: Figure, format: Literal["svg", "png"]) -> bytes:
    """The figure as an image; equal figures give equal bytes. `$` in a text is a dollar sign."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    buffer = io.BytesIO()
    metadata = {"Date": None} if format == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "nas", "svg.fonttype": "path"}), _missing_glyphs_are_boxes():
        figure.savefig(buffer, format=format, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def text_size(text: str, font: FontProperties) -> tuple[float, float]:
    """Width and height of a text of one or more lines, in pixels."""
    lines = text.split("\n")
    with _missing_glyphs_are_boxes():
        widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines]
    return max(widths) * DPI / 72, len(lines) * font.get_size_in_points() * 1.25 * DPI / 72


@contextmanager
def _missing_glyphs_are_boxes() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield
