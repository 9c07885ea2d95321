"""The drawing of last resort: the same picture by matplotlib alone."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path

from nas.architecture import Graph
from nas.rendering.diagram import Box, Diagram, Wire, diagrams, left_to_right
from nas.rendering.figures import blank, text_size
from nas.rendering.layered import Layout, layered
from nas.rendering.palette import colour
from nas.rendering.text import printable

FONT, TITLE = FontProperties(size=9), FontProperties(size=10.5)
MARGIN = 12.0
ARROW = 7.0
GREY, DARK, PALE = "#808080", "#505050", "#d0d0d0"
Place = tuple[float, float]


def plain_figure(graphs: Sequence[Graph], *, caption: str = "") -> Figure:
    """A figure of all graphs, one titled frame each, one under the other.

    Raises:
        ValueError: no graph, or a graph that contradicts itself; see `diagrams`.
    """
    drawn = diagrams(graphs)
    sideways = left_to_right(drawn)
    layouts = [_laid_out(diagram, sideways) for diagram in drawn]
    text = printable(caption, width=90)
    top = MARGIN + (text_size(text, TITLE)[1] + MARGIN if text else 0)
    frames = [
        (max(x.width, text_size(d.title, TITLE)[0]), x.height + _heading(d))
        for d, x in zip(drawn, layouts, strict=True)
    ]
    width = max(text_size(text, TITLE)[0], *(w for w, _ in frames)) + 4 * MARGIN
    figure, axes = _page(width, top + sum(h + 3 * MARGIN for _, h in frames))
    axes.text(MARGIN, MARGIN, text, fontproperties=TITLE, va="top", ha="left")
    for diagram, layout, frame in zip(drawn, layouts, frames, strict=True):
        _draw_frame(axes, diagram.title, top, frame)
        _draw_diagram(axes, diagram, layout, (2 * MARGIN, top + MARGIN + _heading(diagram)))
        top += frame[1] + 3 * MARGIN
    return figure


def _heading(diagram: Diagram) -> float:
    return text_size(diagram.title, TITLE)[1] + MARGIN


def _page(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure in pixels, counted from the left top corner."""
    figure = blank(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def _laid_out(diagram: Diagram, sideways: bool) -> Layout:
    sizes = {box.key: _box_size(box) for box in diagram.boxes}
    if sideways:
        return layered(diagram, sizes, column_gap=22 if diagram.columns() <= 8 else 15, row_gap=9)
    turned = {key: (height, width) for key, (width, height) in sizes.items()}
    return layered(diagram, turned, column_gap=20, row_gap=16).turned()


def _box_size(box: Box) -> tuple[float, float]:
    width, height = text_size(box.label, FONT)
    return max(width + 14, 29), height + 11


def _draw_frame(axes: Axes, title: str, top: float, frame: tuple[float, float]) -> None:
    place, (width, height) = (MARGIN, top), (frame[0] + 2 * MARGIN, frame[1] + 2 * MARGIN)
    style = "round,pad=0,rounding_size=12"
    axes.add_patch(FancyBboxPatch(place, width, height, boxstyle=style, facecolor="white", edgecolor=PALE))
    axes.text(2 * MARGIN, top + MARGIN * 0.7, title, fontproperties=TITLE, va="top", ha="left")


def _draw_diagram(axes: Axes, diagram: Diagram, layout: Layout, corner: Place) -> None:
    for wire, route in zip(diagram.wires, layout.routes, strict=True):
        _draw_wire(axes, wire, [(x + corner[0], y + corner[1]) for x, y in route], layout.sideways)
    for box in diagram.boxes:
        x, y = layout.centres[box.key]
        _draw_box(axes, box, (x + corner[0], y + corner[1]))


def _draw_box(axes: Axes, box: Box, centre: Place) -> None:
    width, height = _box_size(box)
    fill, text, line = "white", "black", DARK
    if box.operation:
        chosen = colour(box.operation)
        fill, text, line = chosen.fill, chosen.text, chosen.line
    corner = (centre[0] - width / 2, centre[1] - height / 2)
    style = "round,pad=0,rounding_size=7"
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=fill, edgecolor=line, zorder=3))
    axes.text(*centre, box.label, fontproperties=FONT, color=text, va="center_baseline", ha="center", zorder=4)


def _draw_wire(axes: Axes, wire: Wire, route: list[Place], sideways: bool) -> None:
    """Draws a smooth line that leaves and enters in the reading direction, with an arrow head if the wire has one."""
    line = colour(wire.operation).line if wire.operation else GREY
    (x, y), length = route[-1], ARROW if wire.arrow else 0.0
    tip = (x - length, y) if sideways else (x, y - length)
    points, codes = [route[0]], [Path.MOVETO]
    for start, end in zip(route, [*route[1:-1], tip], strict=False):
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        bends = (
            [(middle[0], start[1]), (middle[0], end[1])] if sideways else [(start[0], middle[1]), (end[0], middle[1])]
        )
        points.extend([*bends, end])
        codes.extend([Path.CURVE4] * 3)
    axes.add_patch(PathPatch(Path(points, codes), facecolor="none", edgecolor=line, linewidth=1.2, zorder=1))
    if wire.arrow:
        half = ARROW * 0.4
        base = [(tip[0], y - half), (tip[0], y + half)] if sideways else [(x - half, tip[1]), (x + half, tip[1])]
        axes.add_patch(Polygon([(x, y), *base], facecolor=line, edgecolor="none", zorder=2))
