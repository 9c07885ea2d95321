"""What a genotype looks like: the neutral forms between search spaces and the drawing of pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Edge:
    """An arrow from one node to another, labelled with the operation on it; an empty label is a plain wire."""

    source: str
    target: str
    operation: str = ""


@dataclass(frozen=True)
class Graph:
    """One titled picture: inputs, inner nodes and one output, all named uniquely within the graph, and the arrows.

    A node says its label, or its name where it has none, and has the colour of the operation that it is, if any.
    """

    title: str
    inputs: tuple[str, ...]
    nodes: tuple[str, ...]
    output: str
    edges: tuple[Edge, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    operations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bar:
    """A size that was chosen at a place, and the largest that it could have."""

    place: str
    value: float
    largest: float


@dataclass(frozen=True)
class BarChart:
    """A titled column of bars, such as the bits of the weight of each layer, in the order of the network."""

    title: str
    bars: tuple[Bar, ...]
