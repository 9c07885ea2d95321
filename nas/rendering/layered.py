"""A layout for directed graphs without Graphviz: boxes in columns (Sugiyama, Tagawa and Toda, 1981)."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.rendering.diagram import Diagram, Wire

ROUNDS = 12
BEND = 10.0  # pixels that a line takes where it passes a column
Size = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Centres of boxes and points of wires, in the order of the wires, in pixels from the left top corner."""

    width: float
    height: float
    centres: Mapping[str, tuple[float, float]]
    routes: tuple[tuple[tuple[float, float], ...], ...]
    sideways: bool = True

    def turned(self) -> "Layout":
        """The same from top to bottom, for boxes whose width and height were swapped."""
        centres = {key: (y, x) for key, (x, y) in self.centres.items()}
        routes = tuple(tuple((y, x) for x, y in route) for route in self.routes)
        return Layout(self.height, self.width, centres, routes, not self.sideways)


def layered(diagram: Diagram, sizes: Mapping[str, Size], *, column_gap: float, row_gap: float) -> Layout:
    """Lays the diagram out from left to right; no box covers another, and wires pass between the boxes.

    Args:
        sizes: width and height of each box, in pixels, by its key.
    """
    ranks = diagram.ranks()
    chains = [_chain(wire, number, ranks) for number, wire in enumerate(diagram.wires)]
    columns: list[list[str]] = [[] for _ in range(diagram.columns())]
    for key, rank in ranks.items():
        columns[rank].append(key)
    for chain in chains:
        for step, key in enumerate(chain[1:-1], start=1):
            columns[ranks[chain[0]] + step].append(key)
    neighbours: dict[str, list[str]] = {key: [] for column in columns for key in column}
    for first, second in itertools.chain.from_iterable(itertools.pairwise(chain) for chain in chains):
        neighbours[first].append(second)
        neighbours[second].append(first)
    heights = {key: sizes.get(key, (0.0, BEND))[1] + row_gap for key in neighbours}
    ys = _rows(columns, neighbours, heights)
    return _layout(chains, ys, _spans(columns, sizes, column_gap), sizes)


def _chain(wire: Wire, number: int, ranks: Mapping[str, int]) -> list[str]:
    """The keys that a wire passes: its source, one bend in each column between, its target."""
    between = range(ranks[wire.source] + 1, ranks[wire.target])
    return [wire.source, *(f"bend {number} {rank}" for rank in between), wire.target]


def _rows(
    columns: list[list[str]], neighbours: Mapping[str, Sequence[str]], heights: Mapping[str, float]
) -> dict[str, float]:
    """The vertical centre of every key: sorts and shifts each column towards the mean of its neighbours."""
    ys = {key: y for column in columns for key, y in zip(column, _stacked(column, heights), strict=True)}
    for turn in range(ROUNDS):
        for column in columns if turn % 2 == 0 else columns[::-1]:
            wanted = {key: _mean([ys[other] for other in neighbours[key]] or [ys[key]]) for key in column}
            if turn < ROUNDS // 2:
                column.sort(key=lambda key: wanted[key])
            ys.update(_apart(column, wanted, heights))
    return ys


def _apart(column: Sequence[str], wanted: Mapping[str, float], heights: Mapping[str, float]) -> dict[str, float]:
    """Places a column in its order, as near to the wanted heights as the sizes allow."""
    placed: dict[str, float] = {}
    floor = float("-inf")
    for key in column:
        placed[key] = max(wanted[key], floor + heights[key] / 2)
        floor = placed[key] + heights[key] / 2
    shift = _mean([wanted[key] - placed[key] for key in column])
    return {key: y + shift for key, y in placed.items()}


def _stacked(column: Sequence[str], heights: Mapping[str, float]) -> list[float]:
    ends = list(itertools.accumulate(heights[key] for key in column))
    return [end - heights[key] / 2 - ends[-1] / 2 for key, end in zip(column, ends, strict=True)]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _spans(columns: list[list[str]], sizes: Mapping[str, Size], gap: float) -> dict[str, tuple[float, float]]:
    """The left and right end of the column that each key is in."""
    widths = [max((sizes.get(key, (0.0, 0.0))[0] for key in column), default=0.0) for column in columns]
    ends = list(itertools.accumulate(widths, lambda end, width: end + gap + width))
    spans = [(end - width, end) for end, width in zip(ends, widths, strict=True)]
    return {key: span for column, span in zip(columns, spans, strict=True) for key in column}


def _layout(
    chains: list[list[str]],
    ys: Mapping[str, float],
    spans: Mapping[str, tuple[float, float]],
    sizes: Mapping[str, Size],
) -> Layout:
    """Moves the drawing to the corner; wires run from right sides to left sides, and level through columns between."""
    halves = {key: sizes.get(key, (0.0, BEND))[1] / 2 for key in ys}
    top = min(ys[key] - halves[key] for key in ys)
    centres = {key: (sum(spans[key]) / 2, ys[key] - top) for key in ys}
    routes = []
    for source, *bends, target in chains:
        start = (centres[source][0] + sizes[source][0] / 2, centres[source][1])
        end = (centres[target][0] - sizes[target][0] / 2, centres[target][1])
        routes.append((start, *((x, centres[bend][1]) for bend in bends for x in spans[bend]), end))
    height = max(ys[key] + halves[key] for key in ys) - top
    width = max(end for _, end in spans.values())
    return Layout(width, height, {key: centres[key] for key in sizes}, tuple(routes))
