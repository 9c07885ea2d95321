"""Accuracy against cost."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from nas.rendering.figures import blank, encoded
from nas.rendering.text import printable

# Okabe and Ito's colours for colour-blind readers; 7 colours and 9 markers give 63 different pairs.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
FRONT = "#808080"
FRONT_LINES: tuple[Any, ...] = ("--", ":", "-.", (0, (8, 3)), (0, (5, 2, 1, 2, 1, 2)))
TALL, COLUMNS = 560, 3
"""The height in pixels beyond which a legend stands below the axes, and in how many columns."""
DECADE = 10.0
"""The largest cost over the smallest one beyond which costs are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Point:
    """One architecture or method: its group in the legend, its cost x and its quality y, plus or minus the error.

    Only points of one `measure` of quality, such as test accuracy, compete in a Pareto front.
    """

    group: str
    x: float
    y: float
    y_error: float | None = None
    measure: str = ""

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
    """A PNG of all points, a colour and a marker for each group, and the Pareto front of each measure as a step line.

    The legend stands beside the axes, so that it covers no point, or below them if it is long. A point that lies on
    others is a ring around them. Costs that span more than a decade have a logarithmic axis.

    Raises:
        ValueError: no points.
    """
    return encoded(scatter_figure(points, x_label=x_label, y_label=y_label, title=title), "png")


def scatter_figure(points: Sequence[Point], *, x_label: str, y_label: str, title: str) -> Figure:
    """What `scatter` encodes."""
    if not points:
        raise ValueError("a scatter plot needs at least one point; it got none")
    groups = list(dict.fromkeys(point.group for point in points))
    measures = list(dict.fromkeys(point.measure for point in points))
    lines = sum(_label(group).count("\n") + 1 for group in (*groups, *(f"Pareto front, {m}" for m in measures)))
    legend = 60 + 16 * lines + 8 * (len(groups) + len(measures))
    below = legend > TALL
    figure = blank(800, TALL + legend // COLUMNS if below else max(460, legend))
    axes = figure.add_subplot()
    for measure, line in zip(measures, itertools.cycle(FRONT_LINES), strict=False):
        front = pareto_front([point for point in points if point.measure == measure])
        if len(front) > 1:  # the line of a single point can't be seen
            _draw_front(axes, front, "Pareto front" + (f", {measure}" if len(measures) > 1 else ""), line)
    covered = _below(points)
    for number, group in enumerate(groups):
        members = [(point, under) for point, under in zip(points, covered, strict=True) if point.group == group]
        _draw_group(axes, members, COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
    _scale(axes, [point.x for point in points])
    axes.set_xlabel(printable(x_label, width=90))
    axes.set_ylabel(printable(y_label, width=60))
    axes.set_title(printable(title, width=80), fontsize=11, loc="left")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if below:
        figure.legend(loc="outside lower left", ncols=COLUMNS, frameon=False, fontsize=9)
    else:
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats, from cheap to dear: all cheaper ones are worse. Equal points count once."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, -point.y)):
        if not front or point.y > front[-1].y:
            front.append(point)
    return front


def _scale(axes: Axes, costs: Sequence[float]) -> None:
    """A logarithmic axis for costs that span more than DECADE, with fewer numbers where it is long."""
    least, most = min(costs), max(costs)
    if least > 0 and most > DECADE * least:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if most < DECADE**2 * least else (1.0,)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())


def _below(points: Sequence[Point]) -> list[int]:
    """How many earlier points lie where each one does."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for point in points:
        place = f"{point.x:.9g}", f"{point.y:.9g}"
        found.append(seen[place])
        seen[place] += 1
    return found


def _label(group: str) -> str:
    return printable(group, width=28)


def _draw_front(axes: Axes, front: Sequence[Point], label: str, line: str) -> None:
    """From each point level to the cost at which the next one begins."""
    xs, ys = [point.x for point in front], [point.y for point in front]
    axes.step(xs, ys, where="post", color=FRONT, linewidth=1.4, linestyle=line, label=_label(label), zorder=1)


def _draw_group(axes: Axes, members: Sequence[tuple[Point, int]], colour: str, marker: str) -> None:
    """Each point with the number of those below it, which it leaves to be seen."""
    points = [point for point, _ in members]
    errors = [point.y_error or 0.0 for point in points]
    if any(errors):
        xs, ys = [point.x for point in points], [point.y for point in points]
        axes.errorbar(xs, ys, yerr=errors, fmt="none", ecolor=colour, elinewidth=1.2, capsize=3, zorder=2)
    alone = [point for point, under in members if not under]
    axes.scatter(
        [point.x for point in alone],
        [point.y for point in alone],
        s=44,
        color=colour,
        marker=marker,
        edgecolors="white",
        linewidths=0.7,
        label=_label(points[0].group),
        zorder=3,
    )
    for point, under in members:
        if under:
            size = 44 * (1 + 0.8 * under) ** 2
            axes.scatter([point.x], [point.y], s=size, facecolors="none", marker=marker, edgecolors=colour, zorder=3)
