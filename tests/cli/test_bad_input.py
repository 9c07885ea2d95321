"""Every mistake on a command line is one clear line, and nothing is lost or left."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import SMALL_CELL, TINY, call, snapshot
from tests.marks import slow

SEARCH = ("space=darts", *TINY, *SMALL_CELL)
SPACES = "bit_width, channel_width, darts, joint, pc_darts, pc_darts_k2"
METHODS = "first_order, homogeneous, random, score_function, second_order, single_level"


def test_no_space_is_a_mistake_that_lists_them(tmp_path: Path) -> None:
    assert call("search", "debug=smoke", cwd=tmp_path).error == (
        f"there is no search space: add +space=NAME, one of {SPACES}"
    )


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("space=dart", ["'dart'", SPACES, "did you mean 'darts'"]),
        ("+space=pcdarts", ["'pcdarts'", SPACES, "did you mean 'pc_darts'"]),
        ("method=secnd_order", ["'secnd_order'", METHODS]),
        ("data=cifar", ["'cifar'", "cifar10, ", "svhn"]),
        ("+debug=smok", ["'smok'", "smoke"]),
        ("+experiment=darts_cifar", ["'darts_cifar'", "darts_cifar10"]),
    ],
)
def test_a_misspelt_option_names_those_that_exist(word: str, parts: list[str], tmp_path: Path) -> None:
    key = word.lstrip("+").split("=")[0]
    outcome = call("search", *(other for other in SEARCH if not other.startswith(f"{key}=")), word, cwd=tmp_path)
    line = next(line for line in outcome.errors if parts[0] in line)
    assert f"there is no {key} " in line
    assert all(part in line for part in parts)
    assert not list(tmp_path.iterdir())


def test_words_that_cannot_be_read_are_said_with_the_others(tmp_path: Path) -> None:
    lines = call("search", "space=darts", "", "=3", "data.root=[1", "seed=1,2", "trainer.epochs=0", cwd=tmp_path).errors
    assert lines[0] == "a word of the command is empty: leave it out, as a shell makes it of quotes around nothing"
    assert lines[1] == "'=3' names no key; write key=value"
    assert lines[2].startswith("'data.root=[1' cannot be read (")
    assert lines[3] == "'seed=1,2' lists several values; add -m to run each of them, or write a list as key=[a,b]"
    assert lines[4:] == ["trainer.epochs is 0; should be greater than 0"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("further", [(), ("--config-dir", "conf")])
def test_what_refers_to_a_part_that_is_left_out_is_named(further: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    line = call("search", "space=darts", "~trainer", *further, cwd=tmp_path).error
    assert line.startswith("Interpolation key 'trainer.")


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    words = ("trainer.epoch=3", "network.chanels=2", "trainr.epochs=2", "trainer.batch_size=many", "network.stem=mnist")
    lines = call("search", "space=darts", *words, "trainer.epochs=0", "mthod=random", cwd=tmp_path).errors
    wanted = [
        ["'trainer.epoch'", "did you mean 'epochs'", "batch_size"],
        ["'network.chanels'", "did you mean 'channels'", "stem"],
        ["'trainr'", "did you mean 'trainer'"],
        ["trainer.batch_size", "'many'", "integer"],
        ["network.stem", "'mnist'", "'cifar' or 'imagenet'"],
        ["trainer.epochs", "0", "greater than 0"],
        ["'mthod'", "did you mean 'method'"],
    ]
    assert len(lines) == len(wanted)
    for parts in wanted:
        assert [line for line in lines if all(part in line for part in parts)], parts


def test_options_and_keys_are_said_together(tmp_path: Path) -> None:
    lines = call("search", "space=dart", "method=secnd", "trainer.epoch=3", cwd=tmp_path).errors
    assert len(lines) == 3
    assert "'dart'" in lines[0]
    assert "'secnd'" in lines[1]
    assert "'trainer.epoch'" in lines[2]


SEEN_IN_THE_CONFIG = [
    ("trainer.epochs=-3", ["trainer.epochs is -3"]),
    ("trainer.epochs=ten", ["trainer.epochs is 'ten'", "integer"]),
    ("trainer.epochs=null", ["trainer.epochs is None", "integer"]),
    ("trainer.batch_size=0", ["trainer.batch_size is 0"]),
    ("budget.speed=1e6", ["there is no key 'budget.speed'; the keys are bops"]),
    ("network.channels=0", ["network.channels is 0"]),
    ("space.num_nodes=two", ["num_nodes", "two"]),
    ("compile=perhaps", ["compile is 'perhaps'", "boolean"]),
    ("trainer.optimizer.lr=fast", ["lr", "fast"]),
    ("trainer.epochs=0", ["trainer.epochs is 0", "greater than 0"]),
    ("trainer.epochs=1.5", ["trainer.epochs is 1.5", "integer"]),
    ("trainer.precision=fp8", ["trainer.precision is 'fp8'", "'float32' or 'bf16'"]),
    ("trainer.arch_warmup=1", ["trainer.arch_warmup is 1", "less than 1"]),
    ("trainer.clip_norm=x", ["trainer.clip_norm is 'x'"]),
    ("budget.flops=1e6", ["there is no key 'budget.flops' (did you mean 'macs'?); the keys are bops"]),
    ("network.stem=mnist", ["network.stem is 'mnist'", "'cifar' or 'imagenet'"]),
    ("network.auxiliary=true", ["'network.auxiliary'"]),
    ("space.operators=none", ["space.operators is 'none'; give a list, such as space.operators=[none]"]),
    ("space.nodes=2", ["'space.nodes'", "num_nodes"]),
    ("cuda_graphs=maybe", ["cuda_graphs is 'maybe'", "boolean"]),
    ("seed=-1", ["seed is -1"]),
    ("seed=one", ["seed is 'one'", "integer"]),
    ("threads=0", ["threads is 0"]),
    ("method.relaxation._target_=nas.relaxation.Softmix", ["nas.relaxation.Softmix"]),
    ("method.epochs_per_candidate=3", ["'method.epochs_per_candidate'", "relaxation"]),
    ("trainer.optimizer.lrr=1", ["'trainer.optimizer.lrr'", "weight_decay"]),
    ("trainer.optimizer=adam", ["trainer.optimizer is 'adam'"]),
    ("data.padding=wide", ["padding", "wide"]),
    ("data.cutuot=3", ["'data.cutuot'", "cutout"]),
    ("data.split.train=half", ["train", "half"]),
]
SEEN_IN_THE_PARTS = [
    ("device=meta", ["'meta'", "auto, cpu, cuda"]),
    ("trainer.batch_size=100000", ["trainer.batch_size 100000", "718"]),
    ("trainer.cutout=9", ["cutout", "9", "8x8"]),
    ("network.num_classes=3", ["network.num_classes 3", "10 classes"]),
    ("space=pc_darts network.channels=6", ["network.channels 6", "4"]),
    ("space.operators=[none,conv_9x9]", ["'conv_9x9'", "sep_conv_3x3", "dil_conv_5x5"]),
    ("space.operators=[none]", ["space.operators is ['none']"]),
    ("space.num_nodes=0", ["space.num_nodes is 0"]),
    ("device=tpu", ["'tpu'", "auto, cpu, cuda"]),
    ("device=cuda:77", ["'cuda:77'", "cpu"]),
    ("cuda_graphs=true device=cpu", ["cuda_graphs=true needs a GPU", "cpu"]),
    ("data.split.train=1.5", ["data.split.train 1.5"]),
]
"""Which are built one after the other, so that each is found alone."""


def wrong(words: list[str], cwd: Path) -> list[str]:
    """What a search with these words says, which leaves nothing."""
    base = [other for other in SEARCH if not any(other.split("=")[0] == word.split("=")[0] for word in words)]
    lines = call("search", *base, *words, "hydra.run.dir=run", cwd=cwd).errors
    assert not list(cwd.iterdir())
    return lines


@pytest.mark.parametrize(
    ("word", "parts"),
    [*slow(*SEEN_IN_THE_CONFIG), *SEEN_IN_THE_PARTS],
)
def test_a_wrong_value_is_named_with_what_is_allowed(word: str, parts: list[str], tmp_path: Path) -> None:
    (line,) = wrong(word.split(), tmp_path)
    assert all(part in line for part in parts), line


def test_wrong_values_are_named_together(tmp_path: Path) -> None:
    """In as few commands as there are values for one key; a part and its keys do not go together."""
    left = SEEN_IN_THE_CONFIG
    while left:
        now: dict[str, tuple[str, list[str]]] = {}
        for case in left:
            key = case[0].split("=")[0]
            if not any(f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.") for other in now):
                now[key] = case
        lines = wrong([word for word, _ in now.values()], tmp_path)
        assert len(lines) == len(now)
        for word, parts in now.values():
            assert any(all(part in line for part in parts) for line in lines), (word, lines)
        left = [case for case in left if case not in now.values()]


def test_a_refused_run_removes_its_directory_but_nothing_that_was_there_before(tmp_path: Path) -> None:
    words = (*SEARCH, "trainer.batch_size=100000")  # which no one knows before the data are there
    assert "100000" in call("search", *words, cwd=tmp_path).error
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["runs", "runs/search"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    for folder in ("empty", "notes"):
        assert "100000" in call("search", *words, f"hydra.run.dir={folder}", cwd=tmp_path).error
        assert (tmp_path / folder / ".hydra").is_dir()
    assert (tmp_path / "notes" / "mine.txt").read_text() == "mine"


def test_a_refused_run_keeps_a_directory_that_something_was_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        (tmp_path / "run" / place).write_text("mine")
        raise ValueError("no")

    monkeypatch.setattr("nas.search.on_devices", lambda *arguments, **more: refuse())
    for place in ("mine.txt", ".hydra/mine.txt"):
        assert call("search", *SEARCH, "hydra.run.dir=run", cwd=tmp_path).error == "no"
        assert (tmp_path / "run" / place).read_text() == "mine"
        assert (tmp_path / "run" / ".hydra" / "config.yaml").exists()
        shutil.rmtree(tmp_path / "run")


@pytest.mark.parametrize("word", ["trainer.epochs", "trainer.epochs=[", "=3", "trainer.epochs={a"])
def test_malformed_words_are_named(word: str, tmp_path: Path) -> None:
    outcome = call("search", *SEARCH, word, cwd=tmp_path)
    assert word in outcome.error
    assert not list(tmp_path.iterdir())


def test_a_list_without_multirun_is_explained_in_the_person_s_own_words(tmp_path: Path) -> None:
    line = call("search", *SEARCH, "seed=1,2", cwd=tmp_path).error
    assert "seed=1,2" in line
    assert "--multirun" in line or "-m" in line
    assert "++" not in line


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["data=mnist", "data.root=nowhere"], ["mnist", "'nowhere'", "data.download=true"]),
        (["data=cifar10", "data.root=nowhere"], ["cifar10", "'nowhere'", "data.download=true"]),
        (["data=npz"], ["data.root=FILE.npz"]),
        (["data=npz", "data.root=no.npz"], ["'no.npz'"]),
        (["data=npz", "data.root=corrupt.npz"], ["'corrupt.npz'"]),
        (["data=npz", "data.root=foreign.npz"], ["'foreign.npz'", "x_train"]),
        (["data=npz", "data.root=."], ["'.'"]),
        (["data=image_folder", "data.root=nowhere"], ["'nowhere/train'", "train/CLASS"]),
        (["data=image_folder"], ["data.root=FOLDER"]),
        (["data=custom"], ["data.train has no value", "data.test has no value"]),
        (["data.root=x"], ["data.root x"]),
    ],
)
def test_data_that_are_not_there_are_named(words: list[str], parts: list[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "foreign.npz", pictures=np.zeros(3))
    (tmp_path / "corrupt.npz").write_bytes((tmp_path / "foreign.npz").read_bytes()[:100])
    before = snapshot(tmp_path)
    lines = " ".join(call("search", *SEARCH, *words, "hydra.run.dir=run", cwd=tmp_path).errors)
    assert all(part in lines for part in parts), lines
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "run").exists()


def test_a_download_without_a_connection_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object, **more: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    words = ("data=cifar10", "data.root=cifar", "data.download=true")
    line = call("search", *SEARCH, *words, cwd=tmp_path).error
    assert all(part in line for part in ("cifar10", "'cifar'", "connection", "Name or service not known"))
