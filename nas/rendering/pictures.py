"""A picture of a genotype, in all forms, on every machine."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from nas.architecture import Graph
from nas.rendering.dot_source import dot
from nas.rendering.drawing import draw
from nas.rendering.figures import encoded
from nas.rendering.plain_drawing import plain_figure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A drawn picture: its DOT source and two images that need no other file."""

    dot: str
    svg: bytes
    png: bytes


def picture(graphs: Sequence[Graph], *, caption: str = "") -> Picture:
    """Draws all graphs in one picture: with Graphviz if there is one, else with matplotlib.

    Raises:
        ValueError: no graph, or a graph that contradicts itself; see `diagrams`.
    """
    source = dot(graphs, caption=caption)
    try:
        return Picture(source, draw(source, "svg"), draw(source, "png"))
    except RuntimeError as error:
        log.info("drawing with matplotlib: %s", error)
    figure = plain_figure(graphs, caption=caption)
    return Picture(source, encoded(figure, "svg"), encoded(figure, "png"))
