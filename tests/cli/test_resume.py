"""A run that was left, however and how often, ends as one that was not: resume=true."""

import functools
import io
import json
import math
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.faults.comparison import curves, differences
from nas.cli.sameness import deciding, require_settings
from nas.tracking import load_checkpoint, save_checkpoint
from tests.cli.commands import call, read_epochs, read_json, snapshot, succeed
from tests.cli.datasets import image_folder
from tests.cli.leaving import left_after, left_before_a_checkpoint, left_before_the_summary
from tests.marks import slow
from tests.tracking.holding import holder

SMALL = ("debug=smoke", "trainer.epochs=3", "trainer.max_steps=3", "trainer.checkpoint_steps=2", "network.cells=1")
"""Steps 1 to 9; kept are 2, 5 and 8, and the ends of the epochs after 3, 6 and 9."""
SPACE = ("+space=pc_darts", "space.num_nodes=1")
CASES = {
    "search": ("search", *SPACE, *SMALL),
    "random": ("search", *SPACE, *SMALL, "method=random", "method.epochs_per_candidate=1"),
    "retrain": ("retrain", "genotype=PC_DARTS_cifar", *SMALL),
}
RESUME = ("hydra.run.dir=run", "resume=true")
Whole = Callable[[str], Path]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The directory of a run that nobody left; made when first asked for."""

    @functools.cache
    def run(name: str) -> Path:
        cwd = tmp_path_factory.mktemp(name)
        succeed(*CASES[name], "hydra.run.dir=run", cwd=cwd)
        return cwd / "run"

    return run


@pytest.fixture(scope="module")
def search_left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a search that was left after step 8 of 9, with what a kill may leave of a file."""
    cwd = tmp_path_factory.mktemp("left")
    leave("search", 8, cwd)
    (cwd / "run" / ".checkpoint.pt.99999.tmp").write_bytes(b"PK")
    return cwd / "run"


@pytest.fixture
def left(search_left: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(search_left, tmp_path / "run"))


def leave(name: str, steps: int, cwd: Path) -> None:
    with left_after(steps):
        call(*CASES[name], *RESUME, cwd=cwd)


# the same bits


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("search", 1),
        ("retrain", 6),
        *slow(("search", 2), ("search", 3), ("search", 4), ("random", 3), ("random", 8), ("retrain", 1)),
    ],
)
def test_left_after_a_step_it_ends_as_one_that_was_not(name: str, steps: int, whole: Whole, tmp_path: Path) -> None:
    """Before the first checkpoint, behind one and at the end of an epoch; at one in the test of again and again."""
    leave(name, steps, tmp_path)
    succeed(*CASES[name], *RESUME, cwd=tmp_path)
    assert differences(tmp_path / "run", whole(name)) == []


def test_left_again_and_again_it_ends_the_same_with_one_history(whole: Whole, tmp_path: Path) -> None:
    for _ in range(3):
        leave("search", 2, tmp_path)
    with left_before_a_checkpoint():
        call(*CASES["search"], *RESUME, cwd=tmp_path)
    succeed(*CASES["search"], *RESUME, cwd=tmp_path)
    assert differences(tmp_path / "run", whole("search")) == []
    assert len(list((tmp_path / "run").glob("events*"))) == 5
    shown = curves(tmp_path / "run")
    assert [step for step, _ in shown["loss/valid"]] == [step for step, _ in shown["genotype"]] == [0, 1, 2]
    assert [len(points) for tag, points in shown.items() if tag.startswith("final/")] == [1] * 6
    assert [value for _, value in shown["loss/valid"]] == pytest.approx(
        [epoch["valid_loss"] for epoch in read_epochs(tmp_path / "run")], rel=1e-6
    )


@pytest.mark.parametrize("name", ["search", *slow("random", "retrain")])
def test_left_between_the_last_epoch_and_the_summary_it_ends_the_same(name: str, whole: Whole, tmp_path: Path) -> None:
    with left_before_the_summary():
        call(*CASES[name], *RESUME, cwd=tmp_path)
    succeed(*CASES[name], *RESUME, cwd=tmp_path)
    assert differences(tmp_path / "run", whole(name)) == []


def test_processes_that_read_data_change_nothing(tmp_path: Path) -> None:
    photographs = [word for word in image_folder(tmp_path / "photographs") if "workers" not in word]
    words = ("search", *SPACE, *SMALL, *photographs, "trainer.batch_size=4", "data.workers=2", "trainer.epochs=2")
    succeed(*words, "hydra.run.dir=whole", cwd=tmp_path)
    with left_after(5):
        call(*words, *RESUME, cwd=tmp_path)
    succeed(*words, *RESUME, cwd=tmp_path)
    assert differences(tmp_path / "run", tmp_path / "whole") == []


# what is there


@pytest.mark.parametrize("name", ["search", "retrain"])
def test_a_finished_run_says_so_and_changes_no_file(name: str, whole: Whole) -> None:
    cwd = whole(name).parent
    before = snapshot(whole(name))
    outcome = succeed(*CASES[name], *RESUME, cwd=cwd)
    assert outcome.out.startswith("run is finished: 3 epochs, ")
    after = snapshot(whole(name))
    words = ".hydra/"  # where Hydra keeps the words of the last command
    assert {file: data for file, data in after.items() if not file.startswith(words)} == {
        file: data for file, data in before.items() if not file.startswith(words)
    }


def test_a_directory_with_a_run_is_refused_without_the_word(left: Path) -> None:
    before = snapshot(left)
    line = call(*CASES["search"], "hydra.run.dir=run", cwd=left.parent).error
    assert line.startswith(
        "run already holds a run (search.jsonl, checkpoint.pt, checkpoint.before.pt): go on with it "
    )
    assert "resume=true" in line
    assert snapshot(left) == before


def test_all_settings_that_matter_and_differ_are_named_in_one_line(left: Path) -> None:
    before = snapshot(left)["checkpoint.pt"]
    words = ("trainer.optimizer.lr=0.5", "seed=3", "trainer.epochs=2", "trainer.checkpoint_steps=1")
    line = call(*CASES["search"], *words, *RESUME, cwd=left.parent).error
    assert line == (
        "resume=true goes on with the settings that run began with, but seed was 0 and is 3; trainer.epochs was 3 and "
        "is 2; trainer.optimizer.lr was 0.05 and is 0.5: give those, or another hydra.run.dir"
    )
    assert snapshot(left)["checkpoint.pt"] == before


def test_what_decides_nothing_may_differ_and_is_no_setting_of_the_run() -> None:
    began = {"seed": 1, "data": {"root": "a.npz", "workers": 4}, "trainer": {"on_nan": "stop", "checkpoint_steps": 9}}
    require_settings(
        began, {**began, "data": {"root": "a.npz", "workers": 0}, "trainer": {"on_nan": "skip"}}, Path("run")
    )
    with pytest.raises(ValueError, match=r"but data\.root was a\.npz and is b\.npz: give"):
        require_settings(began, {**began, "data": {"root": "b.npz", "workers": 4}}, Path("run"))
    words = ["+space=darts", "++trainer.checkpoint_steps=9", "resume=true", "trainer.epochs=3"]
    assert deciding(words) == ("+space=darts", "trainer.epochs=3")


def test_a_run_of_another_command_is_refused(left: Path) -> None:
    line = call(*CASES["retrain"], *RESUME, cwd=left.parent).error
    assert line == ("resume=true: run holds a run of nas.search, and this is nas.retrain; give another hydra.run.dir")


@pytest.mark.parametrize("name", ["search", "retrain"])
def test_a_finished_run_can_be_made_longer(name: str, whole: Whole, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole(name), tmp_path / "run"))
    lines = "search.jsonl" if name == "search" else "train.jsonl"
    before = (run / lines).read_text()
    succeed(*CASES[name], "trainer.epochs=4", *RESUME, cwd=tmp_path)
    assert (run / lines).read_text().startswith(before)
    assert [epoch["epoch"] for epoch in read_epochs(run, lines)] == [0, 1, 2, 3]
    assert read_json(run / "summary.json")["epochs"] == 4
    shown = curves(run)
    assert [step for step, _ in shown["loss/train"]] == [0, 1, 2, 3]
    assert [step for step, _ in shown["final/valid_loss" if name == "search" else "loss/test"]] == [4]


def test_the_page_says_what_a_checkpoint_holds(whole: Whole) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    section = page.partition("## What a checkpoint holds\n")[2].partition("\n## ")[0]
    states = {}
    for name in CASES:
        found = torch.load(whole(name) / "checkpoint.pt", weights_only=True)
        states[name] = found.pop("state")
        head = json.dumps({**found, "state": 0}).replace(" 0}", " state}")
        assert f"`{head}`" in section
    told = set(re.findall(r"`(\w+)`", section))
    for name, state in states.items():
        assert state.keys() <= told, name
    every, of_search = (table.split("\n\n")[0] for table in section.split("|---|---|\n")[1:])
    keys = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in every.splitlines())))
    assert keys <= states["search"].keys() & states["random"].keys() & states["retrain"].keys()
    own = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in of_search.splitlines())))
    assert own == states["search"].keys() - keys


# damage


def halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    """One bit of the largest record, which is what decides: between records lies padding."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        record = max(map(archive.read, archive.namelist()), key=len)
    place = data.index(record) + len(record) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def emptied(data: bytes) -> bytes:
    return b""


def damage(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize("how", [halved, flipped, emptied])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    how: Callable[[bytes], bytes], left: Path, whole: Whole
) -> None:
    damage(left / "checkpoint.pt", how)
    outcome = succeed(*CASES["search"], *RESUME, cwd=left.parent)
    assert outcome.out.count("the run goes on from the checkpoint before the newest") == 1
    assert f"{left / 'checkpoint.pt'} is damaged" in outcome.out
    assert differences(left, whole("search")) == []


def test_a_damaged_checkpoint_never_takes_the_place_of_a_good_one(left: Path) -> None:
    good = (left / "checkpoint.before.pt").read_bytes()
    damage(left / "checkpoint.pt", halved)
    with left_before_a_checkpoint():
        call(*CASES["search"], *RESUME, cwd=left.parent)
    assert (left / "checkpoint.pt").read_bytes() == good


def test_a_lost_newest_checkpoint_and_damaged_lines_come_back(left: Path, whole: Whole) -> None:
    (left / "checkpoint.pt").unlink()
    (left / "search.jsonl").write_bytes(b'{"epoch": 0}\n\xff')
    succeed(*CASES["search"], *RESUME, cwd=left.parent)
    assert differences(left, whole("search")) == []


def test_lost_lines_come_back_and_half_written_files_go(left: Path, whole: Whole) -> None:
    (left / "search.jsonl").unlink()
    assert list(left.glob(".*.tmp"))
    succeed(*CASES["search"], *RESUME, cwd=left.parent)
    assert differences(left, whole("search")) == []
    assert not [path for path in left.iterdir() if path.is_file() and path.name.startswith(".")]


def test_where_no_checkpoint_can_be_read_one_line_says_so(left: Path) -> None:
    for name in ("checkpoint.pt", "checkpoint.before.pt"):
        damage(left / name, flipped)
    line = call(*CASES["search"], *RESUME, cwd=left.parent).error
    assert line.startswith(f"{left / 'checkpoint.pt'} is damaged or no checkpoint")
    assert json.loads((left / "search.jsonl").read_text().splitlines()[1])["epoch"] == 1


Change = Callable[[dict[str, Any]], Any]
MISLEADING: dict[str, tuple[Change, str]] = {
    "a moment": (
        lambda state: state["arch_optimizer"]["state"][0].update(exp_avg="zero"),
        "does not fit this run: arch_optimizer['state'][0]['exp_avg'] is 'zero', and here a tensor of shape",
    ),
    "a rate": (lambda state: state["weight_optimizer"]["param_groups"][0].update(lr=-1.0), "['lr'] is -1.0"),
    "alphas": (lambda state: state["alphas"].clear(), "alphas lacks '"),
    "sums": (lambda state: state["ranks"][0]["progress"]["meter"].update(sums=3), "meter['sums'] is 3"),
    "ranks": (lambda state: state["ranks"].extend(state["ranks"]), "ranks is a list of 2, and here a list of 1"),
    "a stream": (lambda state: state["streams"][1].update(batch=0.5), "stream['batch'] is 0.5, not a number from 0"),
    "a position": (lambda state: state.update(position=[1, 0]), "it has 2 lines before epoch 1"),
    "steps": (lambda state: state.update(position=[2, 0]), "it stands at [2, 2], and says [2, 0]"),
    "rollbacks": (lambda state: state.update(rollbacks=-1), "rollbacks is -1, not a number from 0 on"),
    "seconds": (lambda state: state.update(seconds=math.inf), "its seconds are inf"),
    "a line": (lambda state: state["records"].reverse(), "the line of epoch 0 is one of epoch 1"),
    "no line": (lambda state: state["records"].insert(0, 7), "it has 3 lines before epoch 2"),
    "a genotype": (
        lambda state: state["records"].__setitem__(0, state["records"][0].replace('"normal/2"', '"normal/3"')),
        "has in epoch 0 a genotype that does not fit",
    ),
    "a setting": (
        lambda state: state["settings"].update(seed=torch.zeros(3)),
        "but seed was tensor([0., 0., 0.]) and is 0",
    ),
    "epochs": (lambda state: state["settings"]["trainer"].update(epochs="3"), "trainer.epochs was 3 and is 3"),
    "a command": (lambda state: state.update(command="x\ny"), "the line of epoch 0 has 'valid_loss', which is not"),
}


@pytest.mark.parametrize("name", MISLEADING)
def test_a_checkpoint_made_to_mislead_is_one_line_before_anything_is_computed(name: str, left: Path) -> None:
    change, said = MISLEADING[name]
    state = load_checkpoint(left / "checkpoint.pt")
    change(state)
    save_checkpoint(left / "checkpoint.pt", state)
    lines = (left / "search.jsonl").read_bytes()
    assert said in call(*CASES["search"], *RESUME, cwd=left.parent).error
    assert (left / "search.jsonl").read_bytes() == lines


# one writer


def test_a_directory_in_use_is_refused_by_name_and_free_when_its_user_is_killed(left: Path, whole: Whole) -> None:
    with holder(left) as (process, _):
        line = call(*CASES["search"], *RESUME, cwd=left.parent).error
        assert line.startswith(f"run is in use by process {process.pid} on ")
    succeed(*CASES["search"], *RESUME, cwd=left.parent)
    assert differences(left, whole("search")) == []
