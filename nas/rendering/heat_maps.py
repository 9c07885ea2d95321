"""Mixture weights as a table of colours."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from nas.rendering.fonts import font
from nas.rendering.labelled_table import (
    CELL_WIDTH,
    GAP,
    MOST_COLUMNS,
    MOST_ROWS,
    NUMBER,
    LabelledTable,
    text_width,
)
from nas.rendering.palette import BLACK, text_on
from nas.rendering.text import printable

BAR = 14  # the width of the colour scale in pixels
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
    row_labels, column_labels = ([printable(name).replace("\n", " ") for name in names] for names in (rows, columns))
    scale = _scale(table)
    ticks = _ticks(scale, len(rows))
    room = 2 * GAP + BAR + GAP + max(text_width(label, NUMBER) for label in ticks)
    page = LabelledTable(row_labels, column_labels, heading=printable(title, width=60), room=room)
    colours = _coloured(table, scale)
    page.fill(colours)
    _draw_scale(page, scale, ticks)
    if len(rows) <= MOST_ROWS and len(columns) <= MOST_COLUMNS:
        _print_values(page, table, colours)
    buffer = io.BytesIO()
    page.image.save(buffer, "PNG", compress_level=1)  # as small as level 6, in less time
    return buffer.getvalue()


def _scale(table: NDArray[np.float64]) -> Normalize:
    finite = table[np.isfinite(table)]
    if finite.size == 0 or (finite.min() >= 0 and finite.max() <= 1):
        even = 1 / table.shape[1]
        return Normalize(vmin=0, vmax=max(3 * even, finite.max(initial=0)))
    return Normalize(vmin=finite.min(), vmax=finite.max())


def _coloured(table: NDArray[np.float64], scale: Normalize) -> NDArray[np.uint8]:
    """(rows, columns, 3); white where there is no number."""
    colours = COLOURS(scale(np.ma.masked_invalid(table)), bytes=True)[..., :3]
    return np.where(np.isfinite(table)[..., None], colours, np.uint8(255))


def _ticks(scale: Normalize, rows: int) -> dict[str, float]:
    """Round numbers on the scale, as many as fit, by their labels."""
    assert scale.vmin is not None
    assert scale.vmax is not None
    numbers = MaxNLocator(min(rows + 1, 9), steps=[1, 2, 5, 10]).tick_values(scale.vmin, scale.vmax)
    return {f"{number + 0.0:g}": number for number in numbers if scale.vmin <= number <= scale.vmax}


def _draw_scale(page: LabelledTable, scale: Normalize, ticks: dict[str, float]) -> None:
    """All colours on the right of the cells, the largest number on top."""
    left, bottom = page.left + page.width + 2 * GAP, page.top + page.height - 1
    bar = COLOURS(np.linspace(1, 0, page.height), bytes=True)[:, None, :3]
    page.paste(bar, (left, page.top), (BAR, page.height))
    for label, number in ticks.items():
        y = bottom - round(float(scale(number)) * (page.height - 1))
        page.pen.line((left + BAR, y, left + BAR + GAP // 2, y), BLACK)
        page.pen.text((left + BAR + GAP, y), label, BLACK, font(NUMBER), anchor="lm")


def _print_values(page: LabelledTable, table: NDArray[np.float64], colours: NDArray[np.uint8]) -> None:
    """Writes each number into its cell, two decimals or fewer, unless one of them is too wide."""
    largest = np.max(np.abs(table), initial=0, where=np.isfinite(table))
    style = ".2f" if largest < 10 else ".1f" if largest < 100 else ".0f"
    texts = {place: format(value, style) for place, value in np.ndenumerate(table) if np.isfinite(value)}
    if any(text_width(text, NUMBER) > CELL_WIDTH - GAP for text in texts.values()):
        return
    for (row, column), text in texts.items():
        page.write(row, column, text, text_on(f"#{colours[row, column].tobytes().hex()}"))
