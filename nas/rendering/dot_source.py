"""Graphs as Graphviz source."""

from collections.abc import Sequence

import graphviz

from nas.architecture import Graph
from nas.rendering.diagram import Box, Diagram, Wire, diagrams, left_to_right
from nas.rendering.palette import colour
from nas.rendering.text import printable

# Points at 96 dots an inch: 9 pt are 12 pixels. Generic families follow, for a browser that has no DejaVu.
PAGE = {
    "dpi": "96",
    "bgcolor": "white",
    "fontname": "DejaVu Sans,sans-serif",
    "fontsize": "10.5",
    "labelloc": "t",
    "labeljust": "l",
    "pad": "0.06",
}
SIDEWAYS = {"rankdir": "LR", "nodesep": "0.11", "ranksep": "0.3"}
SIDEWAYS_TIGHT = SIDEWAYS | {"ranksep": "0.15"}  # four operations one after the other still fit into 800 pixels
DOWNWARDS = {"rankdir": "TB", "nodesep": "0.2", "ranksep": "0.22"}
NODE = {
    "fontname": "DejaVu Sans,sans-serif",
    "fontsize": "9",
    "shape": "box",
    "style": "rounded,filled",
    "fillcolor": "white",
    "color": "#505050",
    "height": "0.27",
    "width": "0.3",
    "margin": "0.06,0.03",
}
EDGE = {"color": "#808080", "arrowsize": "0.55", "penwidth": "1.2"}
LOOSE_COLUMNS = 8
CLUSTER = {"color": "#d0d0d0", "style": "rounded", "margin": "7"}


def dot(graphs: Sequence[Graph], *, caption: str = "") -> str:
    """The DOT source of all graphs in one picture, one titled cluster each, the caption above them.

    Cells lie from left to right, one under the other; a chain too long for a page runs from top to bottom.

    Raises:
        ValueError: no graph, or a graph that contradicts itself; see `diagrams`.
    """
    drawn = diagrams(graphs)
    sideways = left_to_right(drawn)
    source = graphviz.Digraph(graph_attr=PAGE | _spacing(drawn, sideways), node_attr=NODE, edge_attr=EDGE)
    source.attr(label=_label(printable(caption, width=90)))
    clusters = list(enumerate(drawn))
    for number, diagram in reversed(clusters) if sideways else clusters:  # sideways, dot stacks from the bottom
        _add_cluster(source, f"cluster_{number}", diagram, "w" if sideways else "n")
    return str(source.source)


def _spacing(drawn: Sequence[Diagram], sideways: bool) -> dict[str, str]:
    if not sideways:
        return DOWNWARDS
    return SIDEWAYS if max(diagram.columns() for diagram in drawn) <= LOOSE_COLUMNS else SIDEWAYS_TIGHT


def _add_cluster(source: graphviz.Digraph, name: str, diagram: Diagram, entrance: str) -> None:
    """Adds one diagram; lines enter an operation at its `entrance` side, so that they do not cross their neighbours."""
    with source.subgraph(name=name, graph_attr=CLUSTER | {"label": _label(diagram.title)}) as cluster:
        with cluster.subgraph(graph_attr={"rank": "same"}) as inputs:
            for key in diagram.inputs:
                inputs.node(key)
        for box in diagram.boxes:
            cluster.node(box.key, _label(box.label), **_box_style(box))
        for wire in diagram.wires:
            cluster.edge(wire.source, wire.target, **_wire_style(wire, entrance))


def _box_style(box: Box) -> dict[str, str]:
    if not box.operation:
        return {}
    chosen = colour(box.operation)
    return {"fillcolor": chosen.fill, "color": chosen.line, "fontcolor": chosen.text}


def _wire_style(wire: Wire, entrance: str) -> dict[str, str]:
    if not wire.operation:
        return {}
    line = {"color": colour(wire.operation).line}
    # The heavier half is the shorter one: operations stand before their target and share columns.
    return line | ({"weight": "2"} if wire.arrow else {"arrowhead": "none", "headport": entrance})


def _label(text: str) -> str:
    """The text, literally: neither HTML, nor an entity, nor a Graphviz escape."""
    return graphviz.escape(text.replace("&", "&amp;"))
