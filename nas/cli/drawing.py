"""Pictures of genotypes as files."""

from collections.abc import Sequence
from pathlib import Path

from nas.architecture import BarChart, Graph
from nas.rendering import bar_charts, picture
from nas.tracking import write_atomically


def write_picture(graphs: Sequence[Graph], stem: Path, *, caption: str = "") -> bytes:
    """Writes STEM.dot, STEM.svg and STEM.png; returns the PNG."""
    drawn = picture(graphs, caption=caption)
    for ending, data in (("dot", drawn.dot), ("svg", drawn.svg), ("png", drawn.png)):
        write_atomically(Path(f"{stem}.{ending}"), data)
    return drawn.png


def write_sizes(charts: Sequence[BarChart], stem: Path, *, caption: str = "") -> bytes:
    """Writes STEM_sizes.svg and STEM_sizes.png, the sizes of the layers as bars; returns the PNG."""
    svg, png = bar_charts(charts, caption=caption)
    for ending, data in (("svg", svg), ("png", png)):
        write_atomically(Path(f"{stem}_sizes.{ending}"), data)
    return png
