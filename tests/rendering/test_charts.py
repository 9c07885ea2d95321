"""Heat maps, scatter plots and animations."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image, ImageSequence

from nas.rendering import Point, animation, heat_map, picture, scatter
from nas.rendering.labelled_table import CELL_HEIGHT, CELL_WIDTH, GAP, LabelledTable
from nas.rendering.scatter_plots import pareto_front, scatter_figure
from tests.rendering.genotypes import published

NASTY = '<b> & $\\frac{$ "\n漢 \ud800'


def frame(colour: str, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def frames(gif: bytes) -> tuple[list[Image.Image], list[int]]:
    with Image.open(io.BytesIO(gif)) as image:
        assert image.info["loop"] == 0
        stills = [(still.convert("RGB"), still.info["duration"]) for still in ImageSequence.Iterator(image)]
    return [still for still, _ in stills], [duration for _, duration in stills]


def test_frames_of_different_sizes_share_one_white_canvas():
    gif = animation([frame("red", (30, 10)), frame("blue", (10, 20)), frame("red", (5, 5))], seconds_per_frame=0.25)
    images, durations = frames(gif)
    assert [image.size for image in images] == [(30, 20)] * 3
    assert durations == [250, 250, 1000]
    for image, wanted in zip(images, [(255, 0, 0), (0, 0, 255), (255, 0, 0)], strict=True):
        assert image.getpixel((2, 2)) == pytest.approx(wanted, abs=4)
    assert [image.getpixel((29, 19)) for image in images] == [(255, 255, 255)] * 3
    assert images[2].getpixel((8, 8)) == (255, 255, 255)  # nothing is left of the frame before


def test_an_animation_of_genotypes_keeps_their_colours():
    names = ("DARTS_V1", "DARTS_V2", "NASNet")
    pngs = [picture(published(name), caption=name).png for name in names]
    images, _ = frames(animation(pngs))
    assert len(images) == 3
    for image, png in zip(images, pngs, strict=True):
        still = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)
        moving = np.asarray(image, dtype=int)[: still.shape[0], : still.shape[1]]
        assert np.abs(still - moving).mean() < 1
        assert (moving[0, 0] == 255).all()


def test_equal_neighbours_are_one_longer_frame():
    images, durations = frames(animation([frame("red", (9, 9))] * 3 + [frame("blue", (9, 9))]))
    assert len(images) == 2
    assert durations == [1500, 2000]


def test_animations_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match="at least one PNG frame"):
        animation([])
    with pytest.raises(ValueError, match=r"seconds_per_frame is 0; it may be 0\.02 to 60"):
        animation([frame("red", (2, 2))], seconds_per_frame=0)


def read(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)


@pytest.mark.parametrize("shape", [(1, 1), (14, 8), (2, 3), (70, 45)])
def test_a_heat_map_grows_with_its_table(shape):
    table = np.random.default_rng(0).random(shape)
    labels = [f"{i}-2" for i in range(shape[0])], [f"operation_{i}" for i in range(shape[1])]
    first = heat_map(table, *labels, title="normal cell")
    assert first == heat_map(table, *labels, title="normal cell")
    height, width, _ = read(first).shape
    assert width > 46 * min(shape[1], 40)
    assert height > 24 * min(shape[0], 60)


def test_numbers_are_printed_if_they_fit():
    def inked_cells(table: list[float]) -> list[bool]:
        """Whether a cell has any other colour than that beside its corner."""
        png = read(heat_map([table], ["m"], ["m"] * len(table), title=""))
        page = LabelledTable(["m"], ["m"] * len(table), heading="", room=0)
        cells = [png[page.top + 2 :, page.left + i * CELL_WIDTH + 2 :][:20, :42] for i in range(len(table))]
        return [bool((cell != cell[0, 0]).any()) for cell in cells]

    assert inked_cells([1.0, np.nan, 0.0]) == [True, False, True]
    assert inked_cells([-999.0, 999.0]) == [True, True]
    assert inked_cells([-1e9, 1.0]) == [False, False]


def cell(png: np.ndarray, place: tuple[int, int], shape: tuple[int, int]) -> tuple[int, ...]:
    """The colour of a cell, read beside its corner, where no number stands; all labels are one letter wide."""
    page = LabelledTable(["m"] * shape[0], ["m"] * shape[1], heading="", room=0)
    return tuple(png[page.top + place[0] * CELL_HEIGHT + 3, page.left + place[1] * CELL_WIDTH + 3].tolist())


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ([[0.25, 0.0, 0.5, 0.25], [0.75, 0.1, 0.1, 0.05]], 0, 0.75),
        ([[0.25, 0.25, 0.3, 0.2], [0.25, 0.25, 0.2, 0.3]], 0, 0.75),
        ([[0.9, 0.1, 0.0, 0.0]], 0, 0.9),
        ([[-3.0, 1.0], [5.0, 0.0], [np.nan, np.inf]], -3, 5),
    ],
)
def test_a_cell_has_the_colour_of_its_number(table: list[list[float]], low: float, high: float) -> None:
    values = np.array(table)
    png = read(heat_map(values, ["m"] * len(values), ["m"] * values.shape[1], title=""))
    for place, value in np.ndenumerate(values):
        colour = colormaps["cividis"]((value - low) / (high - low), bytes=True)[:3] if np.isfinite(value) else [255] * 3
        assert cell(png, place, values.shape) == tuple(map(int, colour))


def test_the_scale_runs_from_the_largest_number_down():
    png = read(heat_map(np.full((9, 4), 0.25), ["m"] * 9, ["m"] * 4, title=""))
    page = LabelledTable(["m"] * 9, ["m"] * 4, heading="", room=0)
    bar = png[page.top : page.top + page.height, page.left + page.width + 2 * GAP + 7]
    for share in (0, 0.25, 0.5, 1):
        wanted = colormaps["cividis"](1.0 - share, bytes=True)[:3]
        assert np.abs(bar[round(share * (page.height - 1))] - np.array(wanted, dtype=int)).max() <= 2
    ticks = png[page.top : page.top + page.height, page.left + page.width + 2 * GAP + 15]
    marks = np.flatnonzero((ticks == 0).all(axis=-1)) / (page.height - 1)
    assert marks == pytest.approx(1 - np.arange(0.7, -0.05, -0.1) / 0.75, abs=1 / page.height)


@pytest.mark.parametrize("shape", [(1, 1), (14, 8), (3, 70)])
@pytest.mark.parametrize("long", ["row", "column", "title"])
def test_every_label_is_whole(shape: tuple[int, int], long: str) -> None:
    """Nothing touches the edge of the page, and longer labels leave more black on it."""

    def drawn(more: str) -> np.ndarray:
        rows, columns = (
            [f"{i}{more}" if long == part else f"{i}" for i in range(n)]
            for part, n in zip(("row", "column"), shape, strict=True)
        )
        return read(heat_map(np.zeros(shape), rows, columns, title=more if long == "title" else ""))

    shorter, longer = drawn(" with a rather long name"), drawn(" with a rather long name to the very end")
    edges = [longer[:2], longer[-2:], longer[:, :2], longer[:, -2:]]
    assert all((edge == 255).all() for edge in edges)
    assert (longer < 60).all(axis=-1).sum() > (shorter < 60).all(axis=-1).sum()


@pytest.mark.parametrize("value", [np.nan, np.inf, -3.0, 1e12, 0.0])
def test_odd_numbers_and_names_are_drawn(value):
    assert read(heat_map([[value, 0.5]], [NASTY], [NASTY, ""], title=NASTY)).size


def test_a_table_without_its_labels_is_refused():
    with pytest.raises(ValueError, match=r"values \(2, 2\) came with 2 row and 1 column labels"):
        heat_map([[1, 2], [3, 4]], ["a", "b"], ["c"], title="")
    with pytest.raises(ValueError, match="label for each row"):
        heat_map(np.zeros((0, 2)), [], ["a", "b"], title="")


def test_the_pareto_front_is_what_nothing_beats():
    random = np.random.default_rng(1)
    points = [Point("a", float(x), float(y)) for x, y in random.integers(0, 12, size=(60, 2))]
    unbeaten = {
        (p.x, p.y) for p in points if not any(q.x <= p.x and q.y >= p.y and (q.x, q.y) != (p.x, p.y) for q in points)
    }
    front = pareto_front(points)
    assert [(p.x, p.y) for p in front] == sorted(unbeaten)


@pytest.mark.parametrize("groups", [1, 5, 40])
def test_a_scatter_plot_of_many_groups(groups):
    points = [Point(f"{NASTY} {i % groups}", i, i % 7, 0.5 if i % 2 else None) for i in range(2 * groups)]
    png = scatter(points, x_label=NASTY, y_label=NASTY, title=NASTY)
    assert png == scatter(points, x_label=NASTY, y_label=NASTY, title=NASTY)
    assert read(png).shape[1] == 800


@pytest.mark.parametrize("rows", [2, 10, 40])
def test_the_legend_is_whole_however_many_rows(rows):
    points = [
        Point(f"homogeneous search bit_width validation method.setting={i} data=digits", i, i) for i in range(rows)
    ]
    figure = scatter_figure(points, x_label="", y_label="", title="")
    figure.draw_without_rendering()
    box, page = figure.legends[0].get_window_extent(), figure.bbox
    assert box.y0 >= 0
    assert box.y1 <= page.y1
    assert len(figure.legends[0].get_texts()) == rows + 1
    assert figure.axes[0].get_window_extent().height > 300
    assert not box.overlaps(figure.axes[0].get_window_extent())


def test_a_point_on_another_one_is_a_ring_around_it():
    points = [Point("search", 1.0, 2.0), Point("candidate", 1.0, 2.0), Point("candidate", 2.0, 2.0)]
    below, beside, ring = scatter_figure(points, x_label="", y_label="", title="").axes[0].collections
    assert [len(drawn.get_facecolors()) for drawn in (below, beside, ring)] == [1, 1, 0]
    assert ring.get_offsets().tolist() == below.get_offsets().tolist() == [[1.0, 2.0]]
    assert ring.get_sizes()[0] > 2 * below.get_sizes()[0]


@pytest.mark.parametrize(("costs", "scale"), [((1, 10), "linear"), ((1, 10.5), "log"), ((0, 100), "linear")])
def test_costs_that_span_a_decade_have_a_logarithmic_axis(costs, scale):
    figure = scatter_figure([Point("a", x, 1.0) for x in costs], x_label="", y_label="", title="")
    assert figure.axes[0].get_xscale() == scale


def test_the_numbers_of_a_logarithmic_axis_are_plain():
    points = [Point("a", x, 1.0) for x in (3e7, 2e9)]
    figure = scatter_figure(points, x_label="", y_label="", title="")
    figure.draw_without_rendering()
    said = [label.get_text() for label in figure.axes[0].get_xticklabels(which="both")]
    assert {"5e+07", "1e+08", "1e+09"} <= set(said)
    assert not any("$" in text for text in said)


def test_different_measures_have_fronts_of_their_own():
    points = [Point(m, float(x), x + y, measure=m) for m, y in (("test", 0.0), ("validation", 5.0)) for x in (1, 2)]
    fronts = scatter_figure(points, x_label="", y_label="", title="").axes[0].lines
    assert [front.get_label() for front in fronts] == ["Pareto front, test", "Pareto front, validation"]
    assert [front.get_ydata().tolist() for front in fronts] == [[1, 2], [6, 7]]


def test_points_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="at least one point"):
        scatter([], x_label="", y_label="", title="")
    with pytest.raises(ValueError, match="y of a point in 'DARTS' is nan"):
        Point("DARTS", 1.0, float("nan"))
    with pytest.raises(ValueError, match=r"y_error of a point in 'DARTS' is -0\.1; it may not be negative"):
        Point("DARTS", 1.0, 1.0, -0.1)
