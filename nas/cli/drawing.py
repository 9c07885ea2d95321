"""Pictures of genotypes as files."""

from collections.abc import Sequence
from pathlib import Path

from nas.architecture import Graph
from nas.rendering import picture
from nas.tracking import write_atomically


def write_picture(graphs: Sequence[Graph], stem: Path, *, caption: str = "") -> bytes:
    """Writes STEM.dot, STEM.svg and STEM.png; returns the PNG."""
    drawn = picture(graphs, caption=caption)
    for ending, data in (("dot", drawn.dot), ("svg", drawn.svg), ("png", drawn.png)):
        write_atomically(Path(f"{stem}.{ending}"), data)
    return drawn.png
