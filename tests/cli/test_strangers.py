"""Commands with files that nobody should open: one line, status 1, and nothing written."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.faults.config_mutations import laughs
from tests.cli.commands import TINY, Outcome, call, snapshot

SIZES = ("+space=channel_width", "space.backbone_arguments={depth:8,channels:4}", "debug=smoke", "trainer.epochs=1")
SEARCH = ("+space=darts", *TINY)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder with a pipe and a link to a device."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    return tmp_path


def refused(folder: Path, *words: str) -> str:
    """The one line that a command says; no file is other than before."""
    before = {path for path in folder.rglob("*") if ".hydra" not in path.parts and path.name != "runs"}
    line = call(*words, cwd=folder).error
    left = {path for path in folder.rglob("*") if path.is_file() and ".hydra" not in path.parts} - before
    assert not left
    return line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("draw", "genotype=pipe"), "'pipe' is a pipe, not a file"),
        (("cost", "genotype=zero"), "'zero' is a device, not a file"),
        (("retrain", "genotype=zero", *TINY), "'zero' is a device, not a file"),
        (("search", *SIZES, "budget.latency=0.5x", "budget.latency_table=zero"), "'zero' is a device, not a file"),
        (("search", *SEARCH, "data=npz", "data.root=pipe"), "'pipe' is a pipe, not a file"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_what_is_no_file_to_read_is_named_at_once(words: tuple[str, ...], said: str, bad: Path) -> None:
    assert said in refused(bad, *words)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("num_nodes", 10**9, "space.num_nodes is 1000000000; give at least 1 and at most 32"),
        ("num_nodes", 3.0, "space.num_nodes is 3.0; should be a valid integer"),
        ("init_from", "/etc/passwd", "hold 'init_from', which only you can say"),
    ],
)
def test_settings_of_a_genotype_that_no_search_wrote(
    key: str, value: object, said: str, pc_darts_run: Path, tmp_path: Path
) -> None:
    data = json.loads((pc_darts_run / "genotype.json").read_text())
    data["settings"][key] = value
    (tmp_path / "file.json").write_text(json.dumps(data))
    assert said in refused(tmp_path, "cost", "genotype=file.json")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: flip(run / "checkpoint.pt"), "checkpoint.pt is damaged or no checkpoint"),
        (lambda run: os.mkfifo(run / "network.pt2"), "network.pt2' is a pipe, not a file"),
        (lambda run: replaced(run / "checkpoint.pt", os.mkfifo), "there is no checkpoint run/checkpoint.pt"),
    ],
    ids=["damaged", "former export", "pipe"],
)
def test_a_retraining_that_cannot_be_exported(
    damage: Callable[[Path], None], said: str, retrained: tuple[Path, Outcome], tmp_path: Path
) -> None:
    shutil.copytree(retrained[0], tmp_path / "run")
    damage(tmp_path / "run")
    assert said in refused(tmp_path, "export", "genotype=run", "format=pt2")


@pytest.mark.parametrize("command", ["report", "retrain"])
def test_a_summary_that_is_a_device(command: str, pc_darts_run: Path, tmp_path: Path) -> None:
    shutil.copytree(pc_darts_run, tmp_path / "run")
    replaced(tmp_path / "run" / "summary.json", lambda path: path.symlink_to("/dev/zero"))
    words = ("report", "run") if command == "report" else ("retrain", "genotype=run", *TINY)
    assert "summary.json' is a device, not a file" in refused(tmp_path, *words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: [", "the config conf/space/mine.yaml cannot be read: "),
        (b"\x00", "the config conf/space/mine.yaml cannot be read: "),
        (b"a: &a [*a]", "its alias 'a' is of nothing, or of what it is in itself"),
        (b"[" * 3_000, "it is nested more than 64 levels deep"),
        (b"a: !!python/name:os.system ''", "it has the tag 'tag:yaml.org,2002:python/name:os.system'"),
        (b"\xff\xfe", "'conf/space/mine.yaml' is not text: byte 0 is not UTF-8"),
        (laughs().encode(), "written out it has more than 100,000 values"),
        (b"a: !!timestamp x", "it has the tag 'tag:yaml.org,2002:timestamp'"),
        (b"defaults: ${nowhere}", "Interpolation key 'nowhere' not found"),
        (b"7", "a config in conf cannot be read: Invalid loaded object type: int; mend it"),
    ],
    ids=["list", "zero", "circle", "deep", "class", "bytes", "laughs", "tag", "defaults", "number"],
)
def test_a_config_that_cannot_be_read(text: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "conf" / "space").mkdir(parents=True)
    (tmp_path / "conf" / "space" / "mine.yaml").write_bytes(text)
    before = snapshot(tmp_path)
    assert said in call("search", "--config-dir", "conf", "+space=mine", *TINY, cwd=tmp_path).error
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", [".hydra", ".hydra/config.yaml", ".hydra/overrides.yaml", ".lock"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_directory_of_a_run_is_never_written_through(name: str, there: bool, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    if there and name == ".hydra":
        precious.mkdir()
    elif there:
        precious.write_text("mine")
    (tmp_path / "run" / name).parent.mkdir(parents=True)
    (tmp_path / "run" / name).symlink_to(precious)
    before = snapshot(tmp_path)
    line = call("retrain", "genotype=DARTS_V2", *TINY, "hydra.run.dir=run", cwd=tmp_path).error
    assert line.startswith(f"run/{name} is a link, and what a run writes there would land in {precious}: remove it")
    assert snapshot(tmp_path) == before
    assert precious.exists() == there
    assert not there or not precious.is_dir() or not list(precious.iterdir())


@pytest.mark.parametrize("name", ["multirun.yaml", "0_seed-1", "0_seed-1/.hydra", "0_seed-1/.hydra/hydra.yaml"])
def test_a_link_in_the_directory_of_a_sweep_is_never_written_through(name: str, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "sweep" / name).parent.mkdir(parents=True)
    (tmp_path / "sweep" / name).symlink_to(tmp_path / "precious" / "new" if "." in name[-5:] else tmp_path / "precious")
    words = ("genotype=DARTS_V2", *TINY, "seed=1,2", "hydra.sweep.dir=sweep", "resume=true")
    line = call("retrain", "-m", *words, cwd=tmp_path).error
    assert line.startswith(f"sweep/{name} is a link, and what a run writes there would land in {tmp_path}/precious")
    assert snapshot(tmp_path) == {}
    assert not list((tmp_path / "precious").iterdir())


def flip(path: Path) -> None:
    """One bit in the middle is another."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    """Something else is at a path."""
    path.unlink()
    make(path)
