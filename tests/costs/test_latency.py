"""Tables of latencies: what is measured, kept, refused."""

import json
import math
from collections.abc import Callable

import pytest
import torch

from nas.architecture import Choice
from nas.costs import (
    Conditions,
    LatencyTable,
    LayerShape,
    Quantity,
    SearchedLayer,
    Window,
    latency,
    latency_table,
    timed,
)

HERE = Conditions("Some CPU", "2.6.0", 2, 16)
THERE = Conditions("Some GPU", "2.6.0", 1, 16)
CONV = LayerShape(4, 8, (6, 5), Window((3, 3), (2, 1), (1, 1)), bias=True)
LINEAR = LayerShape(4, 10)


class Clock:
    """Seconds that are made up; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[LayerShape] = []

    def __call__(self, shape: LayerShape) -> float:
        self.asked.append(shape)
        return 0.001 * shape.in_channels + 0.1 * shape.out_channels


def test_only_what_is_missing_is_measured() -> None:
    clock = Clock()
    first = latency_table([CONV], HERE, clock)
    second = latency_table([CONV, LINEAR, CONV], HERE, clock, known=first)
    assert clock.asked == [CONV, LINEAR]
    assert (second.seconds_of(CONV), second.seconds_of(LINEAR)) == (0.804, 1.004)
    assert latency_table([LINEAR], HERE, clock, known=second) == second
    assert len(clock.asked) == 2


def test_a_table_comes_back_from_its_text_which_people_can_read() -> None:
    table = LatencyTable(HERE, {CONV.key: 1.25e-05, LINEAR.key: 3.0})
    text = table.to_json()
    assert LatencyTable.from_json(text) == table
    assert '    "conv 4x6x5 -> 8, kernel 3x3, stride 2x1, padding 1x1, dilation 1x1, groups 1, bias": 1.25e-05' in text
    assert '    "linear 4 -> 10": 3.0' in text
    assert json.loads(text)["device"] == "Some CPU"
    assert LatencyTable.from_json(LatencyTable(HERE).to_json()) == LatencyTable(HERE)


def test_a_table_of_another_device_is_refused_unless_it_is_asked_for() -> None:
    clock, table = Clock(), LatencyTable(THERE, {CONV.key: 0.5})
    with pytest.raises(ValueError) as error:  # noqa: PT011
        latency_table([CONV], HERE, clock, known=table)
    assert str(error.value) == (
        "the latency table is of 'Some GPU' (torch 2.6.0, 1 thread, batches of 16), but this is 'Some CPU' "
        "(torch 2.6.0, 2 threads, batches of 16): measure a table here, or take it as it is with anywhere=True"
    )
    assert latency_table([CONV], HERE, clock, known=table, anywhere=True) == table
    with pytest.raises(
        ValueError, match=r"the latency table of 'Some GPU' .* lacks 'linear 4 -> 10': measure it there"
    ):
        latency_table([CONV, LINEAR], HERE, clock, known=table, anywhere=True)
    assert clock.asked == []
    with pytest.raises(ValueError, match="do not compare"):
        table.merged(LatencyTable(HERE))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:-20], "this is not a latency table: it is not JSON"),
        (lambda _: "[]", "this is not a latency table: it has no"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "this latency table has version 2; this program"),
        (
            lambda text: text.replace('"threads": 2', '"threads": "two"'),
            "'threads' of a latency table is of type int; .* 'two'",
        ),
        (
            lambda text: text.replace('"device"', '"gadget"'),
            "'device' of a latency table is of type str; this one is None",
        ),
        (lambda text: text.replace(": 3.0", ": -3"), "the latency of 'linear 4 -> 10' is -3; it is a positive number"),
        (
            lambda text: text.replace(": 3.0", ": NaN"),
            "this is not a latency table: it is not JSON .it holds nan, which is no number of JSON",
        ),
    ],
)
def test_a_damaged_table_is_one_line(damage: Callable[[str], str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        LatencyTable.from_json(damage(LatencyTable(HERE, {LINEAR.key: 3.0}).to_json()))
    assert "\n" not in str(error.value)


def test_a_model_asks_for_every_width_of_a_layer() -> None:
    window = Window((3, 3), padding=(1, 1))
    width = Quantity(0, {"a": (4, 8)})
    layers = [
        SearchedLayer("conv", 9, 36, width, Quantity(6), window=window, size=(6, 6)),
        SearchedLayer("same", 9, 36, width, Quantity(6), window=window, size=(6, 6)),
        SearchedLayer("depthwise", 9, 36, width, width, depthwise=True, window=window, size=(6, 6)),
    ]
    choices, clock = {"a": Choice("a", (0.5, 1.0))}, Clock()
    latency(choices, layers, clock)
    assert list(dict.fromkeys(clock.asked)) == [
        *(LayerShape(channels, 6, (6, 6), window) for channels in (4, 8)),
        *(LayerShape(channels, channels, (6, 6), window, groups=channels) for channels in (4, 8)),
    ]
    model = latency(choices, layers, latency_table(clock.asked, HERE, Clock()).seconds_of)
    assert model.exact({"a": 0.5}) == pytest.approx(2 * (0.004 + 0.6) + 0.004 + 0.4)
    assert model.unit == "seconds"


def test_layers_are_timed_as_they_are() -> None:
    """64 times the work takes longer, whatever else runs here; the random state stays."""
    state = torch.get_rng_state()
    window = Window((3, 3), padding=(1, 1))
    small = LayerShape(8, 8, (8, 8), window)
    cpu = torch.device("cpu")
    measured = {
        shape: timed(shape, cpu, 4, 0.02) for shape in (small, LayerShape(64, 64, (32, 32), window), LINEAR, CONV)
    }
    assert all(math.isfinite(seconds) and seconds > 0 for seconds in measured.values())
    assert list(measured.values())[1] > 4 * measured[small]
    assert torch.equal(torch.get_rng_state(), state)
    depthwise = LayerShape(16, 16, (8, 8), window, groups=16, bias=True)
    assert timed(depthwise, cpu, 2, 0.01) > 0
    assert timed(LayerShape(5, 3, (7,)), cpu, 2, 0.01) > 0


def test_conditions_are_those_of_this_process() -> None:
    here = Conditions.here(torch.device("cpu"), 32)
    assert (here.torch_version, here.threads, here.batch_size) == (torch.__version__, torch.get_num_threads(), 32)
    assert len(here.device) > 2
    assert Conditions.here(torch.device("cpu"), 33) != here
