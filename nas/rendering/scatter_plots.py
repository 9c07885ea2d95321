"""Accuracy against cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from nas.rendering.figures import blank, encoded
from nas.rendering.text import printable

# Okabe and Ito's colours for colour-blind readers; 7 colours and 9 markers give 63 different pairs.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
FRONT = "#808080"


@dataclass(frozen=True)
class Point:
    """One architecture or method: its group in the legend, its cost x and its quality y, plus or minus the error."""

    group: str
    x: float
    y: float
    y_error: float | None = None

    def __post_init__(self) -> None:
        for name in ("x", "y", "y_error"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(
                    f"{name} of a point in {self.group!r} is {value}; leave out points that are not finite"
                )
        if self.y_error is not None and self.y_error < 0:
            raise ValueError(f"y_error of a point in {self.group!r} is {self.y_error}; it may not be negative")


def scatter(points: Sequence[Point], *, x_label: str, y_label: str, title: str) -> bytes:
    """A PNG of all points, a colour and a marker for each group, and the Pareto front as a step line.

    The legend stands beside the axes, so that it covers no point.

    Raises:
        ValueError: no points.
    """
    if not points:
        raise ValueError("a scatter plot needs at least one point; it got none")
    groups = list(dict.fromkeys(point.group for point in points))
    figure = blank(800, max(460, 110 + 20 * len(groups)))
    axes = figure.add_subplot()
    _draw_front(axes, pareto_front(points))
    for number, group in enumerate(groups):
        members = [point for point in points if point.group == group]
        _draw_group(axes, members, COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
    axes.set_xlabel(printable(x_label, width=90))
    axes.set_ylabel(printable(y_label, width=60))
    axes.set_title(printable(title, width=80), fontsize=11, loc="left")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return encoded(figure, "png")


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats, from cheap to dear: all cheaper ones are worse. Equal points count once."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, -point.y)):
        if not front or point.y > front[-1].y:
            front.append(point)
    return front


def _draw_front(axes: Axes, front: Sequence[Point]) -> None:
    """From each point level to the cost at which the next one begins."""
    xs, ys = [point.x for point in front], [point.y for point in front]
    axes.step(xs, ys, where="post", color=FRONT, linewidth=1.4, linestyle="--", label="Pareto front", zorder=1)


def _draw_group(axes: Axes, members: Sequence[Point], colour: str, marker: str) -> None:
    xs, ys = [point.x for point in members], [point.y for point in members]
    errors = [point.y_error or 0.0 for point in members]
    if any(errors):
        axes.errorbar(xs, ys, yerr=errors, fmt="none", ecolor=colour, elinewidth=1.2, capsize=3, zorder=2)
    label = printable(members[0].group, width=28)
    axes.scatter(xs, ys, s=44, color=colour, marker=marker, edgecolors="white", linewidths=0.7, label=label, zorder=3)
