"""Sizes as bars: lengths are read back from the picture."""

import io

import numpy as np
import pytest
from PIL import Image

from nas.architecture import Bar, BarChart
from nas.rendering import bar_charts
from nas.rendering.bar_charts import COLOURS, POSSIBLE, _insert


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def runs(png: bytes, colour: str) -> list[int]:
    """How many pixels of a colour each bar has along its middle, from the top."""
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    counts = (np.abs(pixels - rgb(colour)).sum(axis=2) < 6).sum(axis=1)
    inside = counts > 3
    starts = [row for row in range(1, len(inside)) if inside[row] and not inside[row - 1]]
    ends = [row for row in range(1, len(inside)) if not inside[row] and inside[row - 1]]
    return [int(np.median(counts[start:end])) for start, end in zip(starts, ends, strict=True)]


def test_a_bar_is_as_long_as_its_value_on_the_length_of_what_is_possible() -> None:
    bars = (Bar("conv1", 2, 8), Bar("conv2", 8, 8), Bar("conv3", 4, 8))
    svg, png = bar_charts([BarChart("bits of the weight", bars)], caption="toy")
    assert svg.lstrip().startswith(b"<?xml")
    two, eight, four = runs(png, COLOURS[0])
    assert eight / two == pytest.approx(4, rel=0.05)
    assert four / two == pytest.approx(2, rel=0.05)
    grey = runs(png, POSSIBLE)  # what is left of it beside the bars and the numbers; nothing beside the longest
    assert len(grey) == 2
    assert grey[0] > grey[1]


def test_charts_share_the_rows_of_the_longest() -> None:
    longest = BarChart("bits", tuple(Bar(f"layer{number}", 1 + number, 4) for number in range(4)))
    shorter = BarChart("channels", (Bar("layer1", 8, 16), Bar("layer3", 16, 16)))
    _, png = bar_charts([shorter, longest])
    assert len(runs(png, COLOURS[0])) == 2
    assert len(runs(png, COLOURS[1])) == 4
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (660, 170)


def test_places_stand_in_the_order_of_the_network_whichever_chart_has_them() -> None:
    places: list[str] = []
    for chart in (["first", "b", "d"], ["a", "b", "c", "d", "last"]):
        _insert(places, chart)
    assert places == ["first", "a", "b", "c", "d", "last"]


def test_equal_charts_give_equal_bytes_and_any_text() -> None:
    charts = [BarChart('<b> & $\\frac{$ "', (Bar("漢 \ud800 </svg>", 1, 2),))]
    assert bar_charts(charts, caption="x") == bar_charts(charts, caption="x")


def test_no_bar_at_all() -> None:
    with pytest.raises(ValueError, match=r"^a picture of bars needs at least one bar; it got none$"):
        bar_charts([BarChart("bits", ())])
