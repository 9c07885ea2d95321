"""The sizes of a network's layers as bars."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.architecture import BarChart
from nas.rendering.figures import blank, encoded
from nas.rendering.text import printable

# Okabe and Ito's colours for colour-blind readers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
POSSIBLE = "#e6e6e6"
ROW = 20  # pixels


def bar_charts(charts: Sequence[BarChart], *, caption: str = "") -> tuple[bytes, bytes]:
    """(SVG, PNG) of charts side by side: a row for each place, from the first layer to the last.

    A bar is what was chosen, on the grey bar of what could have been; a place that a chart does not know stays empty.
    The order is one that all charts agree with, where there is one.

    Raises:
        ValueError: no chart, or none with a bar.
    """
    places: list[str] = []
    for chart in charts:
        _insert(places, [bar.place for bar in chart.bars])
    if not places:
        raise ValueError("a picture of bars needs at least one bar; it got none")
    figure = blank(200 + 230 * len(charts), 90 + ROW * len(places))
    axes = figure.subplots(1, len(charts), squeeze=False, sharey=True)[0]
    for number, (chart, part) in enumerate(zip(charts, axes, strict=True)):
        _draw(part, chart, places, COLOURS[number % len(COLOURS)])
    axes[0].set_yticks(range(len(places)), [printable(place, width=40) for place in places], fontsize=8)
    axes[0].set_ylim(len(places) - 0.4, -0.6)
    _title(figure, caption)
    return encoded(figure, "svg"), encoded(figure, "png")


def _draw(axes: Axes, chart: BarChart, places: Sequence[str], colour: str) -> None:
    rows = [places.index(bar.place) for bar in chart.bars]
    axes.barh(rows, [bar.largest for bar in chart.bars], height=0.72, color=POSSIBLE)
    axes.barh(rows, [bar.value for bar in chart.bars], height=0.72, color=colour)
    right = max(bar.largest for bar in chart.bars) if chart.bars else 1.0
    for row, bar in zip(rows, chart.bars, strict=True):
        axes.text(bar.value + 0.015 * right, row, f"{bar.value:g}", va="center", fontsize=7.5)
    axes.set_xlim(0, 1.13 * right)
    axes.set_title(printable(chart.title, width=34), fontsize=9, loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False, labelsize=8)


def _insert(places: list[str], further: Sequence[str]) -> None:
    """Puts each place that is not there yet before the next one that is, or at the end."""
    end = len(places)
    for place in reversed(further):
        if place in places:
            end = places.index(place)
        else:
            places.insert(end, place)


def _title(figure: Figure, caption: str) -> None:
    if caption:
        figure.suptitle(printable(caption, width=90), fontsize=10, x=0.01, ha="left")
