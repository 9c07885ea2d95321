"""A signal ends a run after the step, with a checkpoint; the words that it prints go on with it to the same bits."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nas.cli.search_job
import nas.retrain
from nas.cli import signals as hearing
from nas.cli.launch import on_devices
from nas.cli.resuming import Keeper, going_on
from nas.cli.search_log import SearchLog
from nas.cli.signals import Stopped, StopSignals
from nas.tracking import load_checkpoint
from tests.cli.commands import TINY, Outcome, call, read_epochs, succeed
from tests.cli.rounds import go_round
from tests.cli.test_launch import gone
from tests.marks import slow
from tests.optimization.contracts import assert_same_bits

SEARCH = ("search", "+space=darts", *TINY, "space.num_nodes=1", "trainer.epochs=2", "trainer.arch_warmup=0")
RETRAIN = ("retrain", "genotype=DARTS_V2", *TINY, "trainer.epochs=2", "network.channels=4")


def result(run: Path) -> dict[str, Any]:
    """What a run ended with, but for its seconds and how often it was left."""
    state = load_checkpoint(run / "checkpoint.pt")
    name = "search.jsonl" if state["command"] == "search" else "train.jsonl"
    epochs = [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in read_epochs(run, name)]
    left_out = ("seconds", "settings", "records")
    return {"epochs": epochs, **{key: value for key, value in state.items() if key not in left_out}}


@pytest.fixture(scope="module", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """Also where the tests were started in the background, which ignores it, and what is ignored stays so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], dict[str, Any]]:
    """The result of a command that nothing stopped."""
    results: dict[tuple[str, ...], dict[str, Any]] = {}

    def of(words: tuple[str, ...]) -> dict[str, Any]:
        if words not in results:
            cwd = tmp_path_factory.mktemp("whole")
            succeed(*words, "hydra.run.dir=run", cwd=cwd)
            results[words] = result(cwd / "run")
        return results[words]

    return of


def position(run: Path) -> tuple[int, int] | None:
    """The epoch and the step of it that come next in the newest checkpoint."""
    if not (run / "checkpoint.pt").exists():
        return None
    state = load_checkpoint(run / "checkpoint.pt")
    progress = (state["ranks"][0] if state["command"] == "search" else state)["progress"]
    return progress["epoch"], progress["step"]


def raising(number: int, calls: int, before: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is interrupted by a signal when it is called for the `calls`-th time."""
    count = 0

    def interrupted(*arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == calls:
            signal.raise_signal(number)
        return before(*arguments, **more)

    return interrupted


def words_to_go_on(outcome: Outcome) -> list[str]:
    """The command that a stopped run prints, as `call` takes it."""
    (line,) = outcome.err.splitlines()
    words = shlex.split(line.partition("; to go on: ")[2])
    assert words[:2] == ["python", "-m"]
    return [words[2].removeprefix("nas."), *words[3:]]


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]


@pytest.mark.parametrize(
    ("words", "where", "calls", "number", "said", "kept"),
    [
        pytest.param(
            *(SEARCH, (Keeper, "after_step"), 1, signal.SIGTERM, "SIGTERM in epoch 0 after step 1", (0, 1)),
            marks=pytest.mark.slow,  # a real process stops so below
        ),
        (SEARCH, (Keeper, "after_step"), 4, signal.SIGINT, "SIGINT in epoch 1 after step 2", (1, 2)),
        (SEARCH, (SearchLog, "epoch"), 1, signal.SIGUSR1, "SIGUSR1 after epoch 0", (1, 0)),
        pytest.param(
            *(SEARCH, (SearchLog, "finish"), 1, signal.SIGTERM, "SIGTERM after the last epoch", (2, 0)),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(SEARCH, (nas.cli.search_job, "feed_of"), 2, signal.SIGTERM),
            *("SIGTERM before the first step, nothing is kept yet", None),
            marks=pytest.mark.slow,
        ),
        (RETRAIN, (Keeper, "after_step"), 3, signal.SIGTERM, "SIGTERM in epoch 1 after step 1", (1, 1)),
        pytest.param(
            *(RETRAIN, (nas.retrain, "_test"), 1, signal.SIGINT, "SIGINT after the last epoch", (2, 0)),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["step", "last step", "epoch", "search ended", "before", "retrain", "test"],
)
def test_a_stopped_run_goes_on_by_the_words_that_it_prints(
    words: tuple[str, ...],
    where: tuple[Any, str],
    calls: int,
    number: int,
    said: str,
    kept: tuple[int, int] | None,
    tmp_path: Path,
    whole: Callable[[tuple[str, ...]], dict[str, Any]],
) -> None:
    before = handlers()
    heard = "trainer.stop_signals=[SIGTERM,SIGINT,SIGUSR1]"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*where, raising(number, calls, getattr(*where)))
        outcome = call(*words, heard, cwd=tmp_path)
    assert outcome.status == 128 + number
    assert outcome.err.startswith(f"stopped by {said}; to go on: ")
    assert handlers() == before
    (run,) = tmp_path.glob("runs/*/*")
    assert not (run / "summary.json").exists()
    assert position(run) == kept
    succeed(*words_to_go_on(outcome), cwd=tmp_path)
    assert_same_bits(result(run), whole(words))


def test_a_real_process_stops_after_the_step(tmp_path: Path, whole: Callable[..., dict[str, Any]]) -> None:
    """By the double signal of `timeout`, to the process and to its group."""
    words = ["-m", f"nas.{SEARCH[0]}", *SEARCH[1:], "trainer.checkpoint_steps=1", "hydra.run.dir=run"]
    with subprocess.Popen(
        [sys.executable, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not (tmp_path / "run" / "checkpoint.pt").exists():
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGTERM)
        outcome = Outcome(process.wait(60), "", process.stderr.read() if process.stderr else "")
    assert outcome.status == 128 + signal.SIGTERM
    succeed(*words_to_go_on(outcome), cwd=tmp_path)
    assert_same_bits(result(tmp_path / "run"), whole(SEARCH))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP", "SIGSEGV", "TERM"])
def test_a_signal_that_cannot_end_a_run_is_one_line(name: str, tmp_path: Path) -> None:
    line = call(*SEARCH, f"trainer.stop_signals=[SIGINT,{name}]", cwd=tmp_path).error
    assert line.startswith(f"trainer.stop_signals has {name!r}, which is none of those that can end a run")
    assert "SIGTERM, SIGINT, SIGHUP" in line
    assert not list(tmp_path.iterdir())


# what a process hears


def tell_twice() -> None:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


def test_a_second_signal_does_what_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "TOGETHER", 0.0)
    with pytest.raises(KeyboardInterrupt), StopSignals(["SIGINT"]) as heard, heard.deferred():
        tell_twice()


def test_the_same_signal_told_twice_is_one() -> None:
    match = "^stopped by SIGINT before the first step$"  # at the end of the block
    with pytest.raises(Stopped, match=match), StopSignals(["SIGINT"]) as heard, heard.deferred():
        tell_twice()


def test_one_of_several_processes_is_ended_by_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "TOGETHER", 0.0)
    with StopSignals(["SIGINT"], alone=False) as heard:
        tell_twice()
        assert heard.heard == signal.SIGINT


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with StopSignals(["SIGUSR1"]) as heard:
            signal.raise_signal(signal.SIGUSR1)
            assert heard.heard == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_another_thread_hears_nothing_and_changes_nothing() -> None:
    before, found = handlers(), []

    def enter() -> None:
        with StopSignals(["SIGTERM"]):
            found.append(handlers())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [before]


# the words to type


def test_the_words_to_type_are_those_of_the_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["+space=x", "--config-dir", "my conf", "resume=false", "++hydra.run.dir=old", "data={a: 1}"]
    line = going_on("python -m nas.search", words, "hydra.run.dir", tmp_path / "run $1")
    expected = ["+space=x", "--config-dir", "my conf", "data={a: 1}", "hydra.run.dir=run $1", "resume=true"]
    assert shlex.split(line) == ["python", "-m", "nas.search", *expected]


# several devices


def tell_when(told: Callable[[], bool]) -> None:
    """Sends SIGTERM to this process, soon after this is so."""

    def tell() -> None:
        while not told():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=tell, daemon=True).start()


def each(folder: Path, name: str) -> list[Path]:
    """What both ranks leave."""
    return [folder / f"{name}{rank}" for rank in (0, 1)]


@pytest.mark.slow
def test_ranks_stop_after_the_same_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only rank 1 hears of it."""
    tell_one, seen = os.kill, []

    def kill(pid: int, number: int) -> None:
        seen.append(pid)
        for _ in range(len(seen) != 2):  # rank 0 is the second that is told, after this process
            tell_one(pid, number)

    monkeypatch.setattr(os, "kill", kill)
    tell_when(lambda: all(path.exists() for path in each(tmp_path, "stepped")))
    with pytest.raises(Stopped, match=r"by SIGTERM in epoch 0 after step (\d+)") as stop:
        on_devices(go_round, f"{tmp_path} ready", 2, stop_signals=["SIGTERM"])
    last = {path.read_text() for path in each(tmp_path, "last")}
    assert last == {stop.value.where.rpartition(" ")[2]}
    assert load_checkpoint(tmp_path / "checkpoint.pt")["steps"] == list(range(1, int(last.pop()) + 1))


@pytest.mark.parametrize("how", ["told", *slow("never")])
def test_ranks_that_are_not_set_up_make_no_step(how: str, tmp_path: Path) -> None:
    """Rank 1 hears the signal itself, or this process does, while rank 1 is busy."""
    if how == "never":
        tell_when(lambda: all(path.exists() for path in each(tmp_path, "joined")))
    start = time.monotonic()
    with pytest.raises(Stopped, match=r"^stopped by SIGTERM before the first step$"):
        on_devices(go_round, f"{tmp_path} {how}", 2, stop_signals=["SIGTERM"])
    assert time.monotonic() - start < 60
    assert not any(path.exists() for path in each(tmp_path, "stepped"))
    assert all(gone(int(path.read_text())) for path in each(tmp_path, "joined"))
