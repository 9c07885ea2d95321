"""Where the time of an epoch goes: the watch on programs whose times are known, and on small searches."""

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from experiments.speed import command
from experiments.speed.command import main
from experiments.speed.epoch import COLUMNS, DATA, DRAWING, OTHER, STEPS, VALIDATION, Epochs, on_cifar10, on_digits
from experiments.speed.stopwatch import Stopwatch, watched
from nas.cli.search_log import SearchLog
from tests.cli.commands import read_json

TINY = ("network.channels=4", "network.cells=1")


class Time:
    """A clock that stands still but when something takes time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float, inside: Callable[[], object] = lambda: None) -> Callable[[], None]:
        """A function that takes a second, what is inside, and the rest."""

        def run() -> None:
            self.now += 1
            inside()
            self.now += seconds - 1

        return run


def test_a_part_does_not_pay_for_the_parts_inside_it() -> None:
    time = Time()
    watch = Stopwatch(clock=time)
    inner = watch.timed("inner", time.takes(3))
    outer = watch.timed("outer", time.takes(10, inner))
    time.now += 2
    outer()
    assert watch.read() == {OTHER: 2, "outer": 10, "inner": 3}
    inner()
    time.now += 5
    assert watch.read() == {OTHER: 7, "outer": 10, "inner": 6}


def test_a_part_that_fails_pays_too() -> None:
    time = Time()
    watch = Stopwatch(clock=time)

    def fail() -> None:
        time.now += 4
        raise RuntimeError

    with pytest.raises(RuntimeError):
        watch.timed("inner", fail)()
    time.now += 1
    assert watch.read() == {OTHER: 1, "inner": 4}


def test_a_part_waits_for_what_it_told_the_device_to_do() -> None:
    time, queue = Time(), [0.0]

    def settle() -> None:
        time.now += queue.pop() if queue else 0

    watch = Stopwatch(clock=time, settle=settle)
    watch.timed("launch", lambda: queue.append(6.0))()
    time.takes(2)()
    assert watch.read() == {OTHER: 2, "launch": 6}


def test_functions_are_watched_at_their_places_and_only_within_the_block() -> None:
    time = Time()
    place = SimpleNamespace(work=time.takes(3))
    before, watch = place.work, Stopwatch(clock=time)
    with watched({"part": [(place, "work")]}, watch):
        place.work()
    assert place.work is before
    place.work()
    assert watch.read() == {"part": 3, OTHER: 3}
    with pytest.raises(AttributeError), watched({"part": [(place, "play")]}, watch):
        pass


def test_a_whole_epoch_has_more_steps_but_the_same_pictures() -> None:
    first = dict.fromkeys(COLUMNS, 100.0)
    usual = {STEPS: 8.0, VALIDATION: 2.0, DATA: 1.0, DRAWING: 0.5, OTHER: 0.25}
    slow = {part: 2 * seconds for part, seconds in usual.items()}
    search = Epochs("", batch=2, steps=4, whole=40, epochs=[first, usual, slow, usual], end={})
    assert search.typical == {**dict.fromkeys(COLUMNS, 0.0), **usual}
    outside = 10 * 1.0 + 0.5 + 0.25
    assert search.outside == pytest.approx(outside / (outside + 10 * 10.0))


def state() -> list[object]:
    """What a search changes in its process, and a measurement has to leave as it was."""
    log = logging.getLogger()
    return [SearchLog.epoch, sys.argv, torch.get_num_threads(), log.handlers[:], log.level]


@pytest.mark.parametrize(
    "run", [partial(on_digits, words=["debug=smoke", *TINY]), partial(on_cifar10, words=TINY, batch=2, image_size=8)]
)
def test_a_search_is_watched_whole(run: Callable[..., Epochs]) -> None:
    before = state()
    search = run("darts", 2, settle=lambda: None)
    assert state() == before
    assert len(search.epochs) == 2
    assert (search.batch, search.steps, search.whole) == ((16, 2, 2) if run.func is on_digits else (2, 4, 12_500))
    for epoch in search.epochs:
        assert {*epoch} == {*COLUMNS}
        assert all(seconds > 0 for seconds in epoch.values())
        assert epoch[STEPS] > epoch[DATA]
    assert search.end[DRAWING] > 0, "the animation"
    assert search.end[STEPS] == search.end[DATA] == 0
    assert 0 < search.outside < 1


@pytest.mark.slow
def test_the_command_writes_where_the_time_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def smoke(space: str, epochs: int, words: list[str], settle: Callable[[], object]) -> Epochs:
        return on_digits(space, epochs, ["debug=smoke", *words, *TINY], settle)

    monkeypatch.setattr(command, "on_digits", smoke)
    size = "--channels 4 --cells 1 --image-size 8 --batches 2 --threads 1"
    main(f"--epochs 2 --spaces darts {size} --device cpu --out {tmp_path}".split())
    page = (tmp_path / "epochs.md").read_text()
    assert capsys.readouterr().out.strip() == page.strip()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    assert lines[0][3:10] == [f"{part} ms" for part in COLUMNS][:7]
    assert [line[:3] for line in lines[2:]] == [["darts, digits", "16", "2"], ["darts, as CIFAR-10", "2", "4"]]
    searches = read_json(tmp_path / "epochs.json")["searches"]
    for line, search in zip(lines[2:], searches, strict=True):
        assert line[-1] == f"{100 * search['outside']:.2f} (of {search['whole']} steps)"
        assert float(line[3].replace(",", "")) == pytest.approx(1e3 * search["typical"][STEPS], rel=0.01)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--epochs 1", "error: --epochs is 1; give at least 2: the first is not counted"),
        ("--epochs 2 --spaces pc_darts_k2", "error: --epochs takes the spaces darts, pc_darts, not pc_darts_k2"),
    ],
)
def test_epochs_that_cannot_be_watched_are_refused(words: str, said: str) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words.split(), "--device", "cpu"])
    assert end.value.code == said
