"""A page with a table of coloured cells: heading, labels of rows and columns, cells."""

from collections.abc import Sequence
from functools import lru_cache
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from nas.rendering.fonts import font
from nas.rendering.palette import BLACK, WHITE

# In pixels.
CELL_WIDTH, CELL_HEIGHT = 46, 24
MOST_COLUMNS, MOST_ROWS = 40, 60  # above, cells get smaller, and not every one is labelled
HEADING, LABEL, NUMBER = 14, 12, 11
LINE = 20  # of the heading
MARGIN, GAP = 4, 6  # around everything, and around the cells
LINED = 4  # the smallest cell with a line around it
SLANT = 40  # degrees, of the labels of columns that are narrower than them
SHARP = 3  # a turned label is drawn so many times larger and made small again


class LabelledTable:
    """The page while it is drawn, with `room` pixels left free on the right of the cells.

    `left`, `top`, `width` and `height` say where the cells lie. Every label is whole on the page.
    """

    def __init__(self, rows: Sequence[str], columns: Sequence[str], *, heading: str, room: int) -> None:
        self.rows, self.columns = len(rows), len(columns)
        self.width, self.height = CELL_WIDTH * min(self.columns, MOST_COLUMNS), CELL_HEIGHT * min(self.rows, MOST_ROWS)
        lines = heading.split("\n")
        widest = max(text_width(name, LABEL) for name in columns)
        slanted = widest > CELL_WIDTH - GAP
        across, along = (round(widest * part(radians(SLANT))) if slanted else 0 for part in (cos, sin))
        beside = max(text_width(name, LABEL) for name in rows) + GAP
        self.left = MARGIN + max(beside, across - self.width // (2 * self.columns))
        self.top = MARGIN + LINE * len(lines) + GAP
        width = max(self.width + room, max(text_width(line, HEADING) for line in lines))
        below = GAP + LABEL + along + MARGIN
        self.image = Image.new("RGB", (self.left + width + MARGIN, self.top + self.height + below), WHITE)
        self.pen = ImageDraw.Draw(self.image)
        for number, line in enumerate(lines):
            self.pen.text((self.left, MARGIN + LINE * number), line, BLACK, font(HEADING))
        self._label(rows, columns, slanted)

    def fill(self, colours: NDArray[np.uint8]) -> None:
        """Colours the cells, (rows, columns, 3), with thin white lines between those that are large enough."""
        self.paste(colours, (self.left, self.top), (self.width, self.height))
        if self.width >= LINED * self.columns:
            for column in range(1, self.columns):
                x = self.left + column * self.width // self.columns
                self.pen.line((x, self.top, x, self.top + self.height), WHITE)
        if self.height >= LINED * self.rows:
            for row in range(1, self.rows):
                y = self.top + row * self.height // self.rows
                self.pen.line((self.left, y, self.left + self.width, y), WHITE)

    def write(self, row: int, column: int, text: str, colour: str) -> None:
        """Writes into a cell."""
        self.pen.text(self._center(row, column), text, colour, font(NUMBER), anchor="mm")

    def paste(self, colours: NDArray[np.uint8], place: tuple[int, int], size: tuple[int, int]) -> None:
        """A rectangle of coloured cells of one size."""
        self.image.paste(Image.fromarray(colours).resize(size, Image.Resampling.NEAREST), place)

    def _label(self, rows: Sequence[str], columns: Sequence[str], slanted: bool) -> None:
        for row in range(0, self.rows, -(-self.rows // MOST_ROWS)):
            y = self._center(row, 0)[1]
            self.pen.text((self.left - GAP, y), rows[row], BLACK, font(LABEL), anchor="rm")
        for column in range(0, self.columns, -(-self.columns // MOST_COLUMNS)):
            place = self._center(0, column)[0], self.top + self.height + GAP
            if slanted:
                self._slanted(place, columns[column])
            else:
                self.pen.text(place, columns[column], BLACK, font(LABEL), anchor="ma")

    def _center(self, row: int, column: int) -> tuple[float, float]:
        x = self.left + (column + 0.5) * self.width / self.columns
        return x, self.top + (row + 0.5) * self.height / self.rows

    def _slanted(self, place: tuple[float, float], text: str) -> None:
        """A text that rises to the middle of its right end at `place`."""
        length, turned = text_width(text, LABEL), _turned(text)
        x = place[0] - (length * cos(radians(SLANT)) + turned.width) / 2
        y = place[1] + (length * sin(radians(SLANT)) - turned.height) / 2
        self.image.paste(BLACK, (round(x), round(y)), turned)


@lru_cache(maxsize=128)
def _turned(text: str) -> Image.Image:
    """A slanted text, white on black; tables of one search have the same labels in every epoch."""
    large = Image.new("L", (SHARP * text_width(text, LABEL), SHARP * (LABEL + 4)))
    ImageDraw.Draw(large).text((0, large.height / 2), text, 255, font(SHARP * LABEL), anchor="lm")
    return large.rotate(SLANT, Image.Resampling.BICUBIC, expand=True).reduce(SHARP)


def text_width(text: str, size: int) -> int:
    """In pixels, rounded up."""
    return -int(-font(size).getlength(text) // 1)
