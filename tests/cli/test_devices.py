"""`trainer.devices=N`: one command, N processes, the result of one."""

import functools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.commands import Outcome, call, read_epochs, read_json, shell

WORDS = ("space=pc_darts", "debug=smoke", "network.cells=1", "space.num_nodes=1", "trainer.arch_warmup=0", "device=cpu")
TWO = ("trainer.devices=2", "trainer.sync_batch_norm=true")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "nas.search")


def numbers(run: Path) -> dict[str, Any]:
    """What a search found, as nested numbers and texts."""
    state = torch.load(run / "checkpoint.pt", weights_only=True)["state"]
    epochs = read_epochs(run)
    losses = [[epoch[key] for key in ("train_loss", "valid_loss", "valid_accuracy")] for epoch in epochs]
    return {"weights": state["weights"], "alphas": state["alphas"], "losses": losses}


COMMANDS = {
    "two": ("-m", "nas.search", *WORDS, *TWO),
    "torchrun": (*TORCHRUN, *WORDS, *TWO),
}
BOTH = pytest.mark.parametrize("name", ["two", pytest.param("torchrun", marks=pytest.mark.slow)])
Run = Callable[[str], tuple[Path, Outcome]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same search on one device, on two, and on two by torchrun: where it ran and what was said."""

    @functools.cache
    def search(name: str) -> tuple[Path, Outcome]:
        cwd = tmp_path_factory.mktemp(name)
        return cwd, shell(list(COMMANDS[name]), cwd=cwd) if name in COMMANDS else call("search", *WORDS, cwd=cwd)

    return search


@BOTH
def test_two_devices_find_what_one_finds(name: str, run: Run) -> None:
    (one,), (two,) = (run(which)[0].glob("runs/search/*") for which in ("one", name))
    found, wanted = numbers(two), numbers(one)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert (two / "genotype.json").read_text() == (one / "genotype.json").read_text()


@BOTH
def test_rank_0_alone_writes_and_speaks(name: str, run: Run) -> None:
    """One run directory with the files of any run, one line an epoch, one set of events; one result on screen."""
    cwd, outcome = run(name)
    assert outcome.status == 0, outcome.err
    assert [path.name for path in cwd.iterdir()] == ["runs"]
    (two,), (one,) = cwd.glob("runs/search/*"), run("one")[0].glob("runs/search/*")
    files, wanted = ({p.name.split(".tfevents")[0] for p in folder.rglob("*")} for folder in (two, one))
    assert files == wanted
    assert len(list(two.glob("events*"))) == 1
    assert [epoch["epoch"] for epoch in read_epochs(two)] == [0, 1]
    assert outcome.out.count("searched pc_darts") == outcome.out.count("next: ") == 1
    assert read_json(two / "summary.json")["device"] == "2 x cpu (1 thread)"
    if name == "two":
        assert outcome.err.replace("Fontconfig warning", "") == run("one")[1].err.replace("Fontconfig warning", "")


# mistakes, before anything is written


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("trainer.devices=0",), ["trainer.devices is 0", "greater than 0"]),
        (("trainer.devices=two",), ["trainer.devices is 'two'", "integer"]),
        (("trainer.devices=3",), ["trainer.batch_size 16", "trainer.devices=3", "multiple of 3"]),
        (("trainer.sync_batch_norm=true",), ["trainer.sync_batch_norm", "trainer.devices is 1"]),
        (("trainer.devices=2", "device=cuda:1"), ["'cuda:1'", "trainer.devices is 2", "auto, cpu or cuda"]),
        (("trainer.devices=2", "compile=true"), ["compile=true", "trainer.devices is 2"]),
        (("trainer.devices=2", "cuda_graphs=true"), ["cuda_graphs=true", "trainer.devices is 2"]),
        (("trainer.devices=2", "method=random"), ["'random'", "trainer.devices is 2", "trainer.devices=1"]),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(words: tuple[str, ...], parts: list[str], tmp_path: Path) -> None:
    line = call("search", "space=darts", "debug=smoke", *words, cwd=tmp_path).error
    assert all(part in line for part in parts), line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("devices", [1, 2])
def test_a_method_whose_module_fails_is_one_mistake(
    devices: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_module.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    words = ("space=darts", "debug=smoke", "method._target_=failing_module.Method", f"trainer.devices={devices}")
    line = call("search", *words, cwd=tmp_path).error
    assert all(part in line for part in ("method._target_", "failing_module", "nothing_of_this_name")), line


def test_more_devices_than_gpus_are_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    line = call("search", "space=darts", "debug=smoke", "trainer.devices=4", cwd=tmp_path).error
    assert all(part in line for part in ("trainer.devices is 4", "3 GPUs", "device=cpu")), line
    assert not list(tmp_path.iterdir())


# errors on the way


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "said"),
    [("mistake", "rank 1 found a mistake"), ("killed", "process 1 of trainer.devices=2 was ended")],
)
def test_what_fails_in_one_process_is_one_line(how: str, said: str, tmp_path: Path) -> None:
    words = ("method.relaxation._target_=tests.cli.failing.FailsOnOneRank", f"+method.relaxation.how={how}")
    outcome = call("search", *WORDS, *TWO, *words, "hydra.run.dir=run", cwd=tmp_path)
    assert outcome.error.startswith(said)
    assert not (tmp_path / "run" / "summary.json").exists()


@pytest.mark.slow
def test_a_loss_that_diverges_names_the_last_good_state(tmp_path: Path) -> None:
    boom = ("trainer.epochs=4", "trainer.schedule.final_rate=1e30", "trainer.clip_norm=null")
    line = call("search", *WORDS, *TWO, *boom, "hydra.run.dir=run", cwd=tmp_path).error
    # which of them it is depends on the processor
    assert re.search("the (training loss|alphas) became (nan|inf) in epoch 1, ", line), line
    assert "the state after epoch 0 is kept in" in line
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["state"]["records"][1:] == []


@pytest.mark.slow
def test_ctrl_c_stops_all_after_the_same_step(tmp_path: Path) -> None:
    words = ("-m", "nas.search", *WORDS, *TWO, "trainer.epochs=100", "hydra.run.dir=run")
    with subprocess.Popen(
        [sys.executable, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while not (tmp_path / "run" / "checkpoint.pt").exists():
            time.sleep(0.1)
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert out == b""
        (line,) = err.decode().splitlines()
        assert re.match(r"stopped by SIGINT (in epoch \d+ after step \d|after epoch \d+); to go on: python -m ", line)
        assert line.endswith("trainer.epochs=100 hydra.run.dir=run resume=true")
        for _ in range(100):
            time.sleep(0.1)  # Python's resource tracker ends when it sees that all others have
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
        raise AssertionError("a process is left")


@pytest.mark.slow
def test_the_runs_of_a_sweep_may_have_several_devices(tmp_path: Path) -> None:
    words = (*WORDS, "trainer.devices=1,2", "hydra.sweep.dir=sweep")
    outcome = shell(["-m", "nas.search", "-m", *words, "hydra.launcher.n_jobs=2"], cwd=tmp_path)
    assert outcome.status == 0, outcome.err
    devices = {read_json(path)["device"] for path in tmp_path.glob("sweep/*/summary.json")}
    assert devices == {"cpu (1 thread)", "2 x cpu (1 thread)"}


# torchrun


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trainer.devices=4",), "trainer.devices is 4, but torchrun started 2 processes"),
        (("trainer.epochs=0", "trainer.devices=2"), "trainer.epochs is 0"),
        (("-m", "seed=1,2", "trainer.devices=2"), "torchrun runs one job and no sweep"),
        (("trainer.devices=2", "data=npz", "data.root=no.npz", "hydra.run.dir=run"), "no.npz"),
    ],
)
def test_a_mistake_under_torchrun_is_said_once(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    outcome = shell([*TORCHRUN, *WORDS, *words], cwd=tmp_path)
    assert outcome.status == 1
    assert [said in line for line in outcome.err.splitlines() if line.startswith("error: ")] == [True]
    assert not list(tmp_path.rglob("search.jsonl"))


@pytest.mark.slow
def test_what_torchrun_is_told_stops_all_after_the_same_step(tmp_path: Path) -> None:
    words = (*TORCHRUN, *WORDS, *TWO, "trainer.epochs=1000", "hydra.run.dir=run")
    with subprocess.Popen([sys.executable, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "run" / "checkpoint.pt").exists():
            time.sleep(0.1)
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=100)
    assert process.returncode != 0
    (line,) = (line for line in err.splitlines() if line.startswith("stopped by SIGTERM "))
    assert "; to go on: torchrun --nproc-per-node=2 -m nas.search space=pc_darts" in line
    assert line.endswith("hydra.run.dir=run resume=true")
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["state"]
    kept = [(rank["progress"]["epoch"], rank["progress"]["step"]) for rank in state["ranks"]]
    assert kept[0] == kept[1]
    assert line.startswith(f"stopped by SIGTERM {place(*kept[0])}; ")


def place(epoch: int, step: int) -> str:
    """Where a run stopped whose next step is that of `epoch`."""
    return f"in epoch {epoch} after step {step}" if step else f"after epoch {epoch - 1}"


@pytest.mark.slow
def test_help_under_torchrun_ends(tmp_path: Path) -> None:
    outcome = shell([*TORCHRUN, "--help"], cwd=tmp_path)
    assert outcome.status == 0
    assert outcome.out.count("pc_darts") >= 1
    assert not list(tmp_path.iterdir())
