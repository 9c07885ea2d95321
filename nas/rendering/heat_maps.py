"""Mixture weights as a table of colours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_hex
from matplotlib.font_manager import FontProperties
from numpy.typing import ArrayLike, NDArray

from nas.rendering.figures import blank, encoded, text_size
from nas.rendering.palette import text_on
from nas.rendering.text import printable

CELL = (46.0, 24.0)
MOST_COLUMNS, MOST_ROWS = 40, 60  # above, cells get smaller, lose their numbers, and not every one is labelled
LABEL = FontProperties(size=9)
COLOURS = colormaps["cividis"]  # made for colour-blind readers


def heat_map(values: ArrayLike, rows: Sequence[str], columns: Sequence[str], *, title: str) -> bytes:
    """A PNG of a table of numbers, `values: (rows, columns)`, with the numbers in the cells if they fit.

    Numbers that all lie in [0, 1], such as mixture weights, are coloured from 0 to three times an even share of a row,
    or to the largest of them, so that pictures of a search's first epochs compare; others are scaled to their range. A
    number that is not finite, such as the NaN of a candidate that a choice does not have, leaves its cell blank.

    Raises:
        ValueError: the values are not a table with one label for each row and column, or the table is empty.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.shape != (len(rows), len(columns)) or table.size == 0:
        wanted = f"{len(rows)} row and {len(columns)} column labels"
        raise ValueError(f"a heat map needs a label for each row and column; values {table.shape} came with {wanted}")
    shown = (min(len(columns), MOST_COLUMNS) * CELL[0], min(len(rows), MOST_ROWS) * CELL[1])
    row_labels, column_labels = ([printable(name).replace("\n", " ") for name in names] for names in (rows, columns))
    heading = printable(title, width=max(30, int((shown[0] + _width(row_labels)) / 8)))
    slant = max(map(_text_width, column_labels)) > CELL[0] - 4
    below = _width(column_labels) * 0.7 if slant else 20
    figure = blank(shown[0] + _width(row_labels) + 130, shown[1] + below + 22 * (heading.count("\n") + 1) + 20)
    axes = figure.add_subplot()
    scale = _scale(table)
    image = axes.imshow(np.ma.masked_invalid(table), cmap=COLOURS, norm=scale, aspect="auto")
    figure.colorbar(image, ax=axes, pad=0.02, aspect=shown[1] / 14).ax.tick_params(labelsize=8)
    axes.set_title(heading, fontsize=10.5, loc="left")
    _label_axes(axes, row_labels, column_labels, slant)
    if len(rows) <= MOST_ROWS and len(columns) <= MOST_COLUMNS:
        _print_values(axes, table, scale)
    return encoded(figure, "png")


def _text_width(text: str) -> float:
    return text_size(text, LABEL)[0]


def _width(labels: Sequence[str]) -> float:
    return max(map(_text_width, labels)) + 10


def _scale(table: NDArray[np.float64]) -> Normalize:
    finite = table[np.isfinite(table)]
    if finite.size == 0 or (finite.min() >= 0 and finite.max() <= 1):
        even = 1 / table.shape[1]
        return Normalize(vmin=0, vmax=max(3 * even, finite.max(initial=0)))
    return Normalize(vmin=finite.min(), vmax=finite.max())


def _label_axes(axes: Axes, rows: Sequence[str], columns: Sequence[str], slant: bool) -> None:
    row_step, column_step = -(-len(rows) // MOST_ROWS), -(-len(columns) // MOST_COLUMNS)
    axes.set_yticks(range(0, len(rows), row_step), labels=rows[::row_step], fontproperties=LABEL)
    turn: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slant else {}
    axes.set_xticks(range(0, len(columns), column_step), labels=columns[::column_step], fontproperties=LABEL, **turn)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)


def _print_values(axes: Axes, table: NDArray[np.float64], scale: Normalize) -> None:
    """Writes each number into its cell, two decimals or fewer, unless one of them is too wide."""
    largest = np.max(np.abs(table), initial=0, where=np.isfinite(table))
    style = ".2f" if largest < 10 else ".1f" if largest < 100 else ".0f"
    texts = {place: format(value, style) for place, value in np.ndenumerate(table) if np.isfinite(value)}
    if texts and max(map(_text_width, texts.values())) > CELL[0] - 4:
        return
    for (row, column), text in texts.items():
        fill = to_hex(COLOURS(float(scale(table[row, column]))))
        label = axes.text(column, row, text, ha="center", va="center_baseline", fontsize=8.25, color=text_on(fill))
        label.set_in_layout(False)  # it is inside the axes; measuring it takes time
