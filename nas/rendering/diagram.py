"""What all renderers draw: boxes and wires, each operation a box of its own on the way between two nodes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.architecture import Edge, Graph
from nas.rendering.text import printable

WIDEST_LEFT_TO_RIGHT = 1000  # pixels; a longer chain is drawn from top to bottom


@dataclass(frozen=True)
class Box:
    """A node or an operation on the way, in the colour of its operation, if any; the key is unique in a picture."""

    key: str
    label: str
    operation: str = ""


@dataclass(frozen=True)
class Wire:
    """A line between two boxes, in the colour of its operation; only the line that ends at a node has an arrow head."""

    source: str
    target: str
    operation: str = ""
    arrow: bool = True


@dataclass(frozen=True)
class Diagram:
    """One graph as boxes and wires; `inputs` are keys of boxes."""

    title: str
    inputs: tuple[str, ...]
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]

    def ranks(self) -> dict[str, int]:
        """The column of each box: nodes by the longest way from an input, operations directly before their target."""
        ranks = {box.key: 0 for box in self.boxes}
        for _ in self.boxes:  # no way has more wires, unless there is a cycle, and then this ends as well
            before = dict(ranks)
            for wire in self.wires:
                ranks[wire.target] = max(ranks[wire.target], ranks[wire.source] + 1)
            if ranks == before:
                break
        operations = {wire.source: ranks[wire.target] - 1 for wire in self.wires if wire.operation and wire.arrow}
        return {**ranks, **operations}

    def columns(self) -> int:
        """How many columns of boxes a drawing from left to right has."""
        return max(self.ranks().values()) + 1

    def width(self) -> int:
        """Roughly how many pixels a drawing from left to right needs."""
        widths: dict[int, int] = {}
        labels = {box.key: max(map(len, box.label.split("\n"))) for box in self.boxes}
        for key, rank in self.ranks().items():
            widths[rank] = max(widths.get(rank, 0), 8 * labels[key] + 24)
        return sum(widths.values())


def diagrams(graphs: Sequence[Graph]) -> tuple[Diagram, ...]:
    """The diagrams of one picture.

    Raises:
        ValueError: no graph; a name that a graph has twice; an edge that names an unknown node.
    """
    if not graphs:
        raise ValueError("a picture needs at least one graph; it got none")
    return tuple(_diagram(graph, f"g{number}") for number, graph in enumerate(graphs))


def left_to_right(drawn: Sequence[Diagram]) -> bool:
    """Whether the picture is short enough to read from left to right."""
    return max(diagram.width() for diagram in drawn) <= WIDEST_LEFT_TO_RIGHT


def _diagram(graph: Graph, prefix: str) -> Diagram:
    names = (*graph.inputs, *graph.nodes, graph.output)
    keys = {name: f"{prefix}n{number}" for number, name in enumerate(names)}
    _check(graph, names)
    boxes = [Box(keys[n], printable(graph.labels.get(n, n)), graph.operations.get(n, "")) for n in names]
    wires: list[Wire] = []
    for number, edge in enumerate(graph.edges):
        key = f"{prefix}e{number}"
        wires.extend(_wires(edge, keys[edge.source], key, keys[edge.target]))
        if edge.operation:
            boxes.append(Box(key, printable(edge.operation), edge.operation))
    return Diagram(
        printable(graph.title, width=90), tuple(keys[name] for name in graph.inputs), tuple(boxes), tuple(wires)
    )


def _wires(edge: Edge, source: str, middle: str, target: str) -> Iterator[Wire]:
    if edge.operation:
        yield Wire(source, middle, edge.operation, arrow=False)
        yield Wire(middle, target, edge.operation)
    else:
        yield Wire(source, target)


def _check(graph: Graph, names: tuple[str, ...]) -> None:
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"graph {graph.title!r} has the names {twice} twice; inputs, nodes and output need their own")
    for edge in graph.edges:
        for name in (edge.source, edge.target):
            if name not in names:
                arrow = f"{edge.source!r} -> {edge.target!r}"
                raise ValueError(f"graph {graph.title!r} has an edge {arrow}, but no node {name!r}; it has {names}")
