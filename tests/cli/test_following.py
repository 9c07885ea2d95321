"""What a retraining takes over from the search whose directory it is given."""

import contextlib
import json
import shlex
from pathlib import Path

import pytest

from tests.cli import traces
from tests.cli.commands import SMALL_CELL, TINY, call, read_json, succeed
from tests.cli.datasets import npz


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a search on a pack of its own, with seed 5."""
    cwd = tmp_path_factory.mktemp("search")
    data = [*npz(cwd / "pack.npz"), "data.padding=1", "data.cutout=2"]
    succeed("search", "+space=pc_darts", *TINY, *SMALL_CELL, *data, "seed=5", "hydra.run.dir=run", cwd=cwd)
    return cwd / "run"


def config(folder: Path) -> str:
    """The composed config of a run."""
    return (folder / ".hydra" / "config.yaml").read_text()


def test_seed_data_and_space_are_those_of_the_search(search: Path, tmp_path: Path) -> None:
    succeed("retrain", f"genotype={search}", *TINY, "hydra.run.dir=run", cwd=tmp_path)
    summary = read_json(tmp_path / "run" / "summary.json")
    assert summary["seed"] == 5
    assert summary["space"] == "pc_darts"
    for line in (f"root: {search.parent}/pack.npz", "padding: 1", "cutout: 2", "seed: 5"):
        assert line in config(tmp_path / "run")


@pytest.mark.slow
def test_the_next_command_names_the_folder_of_a_space_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "my configs" / "space").mkdir(parents=True)
    (tmp_path / "my configs" / "space" / "mine.yaml").write_text("defaults: [pc_darts, _self_]\nname: mine\n")
    words = ("--config-dir", "my configs", "+space=mine", *TINY, *SMALL_CELL, "hydra.run.dir=run")
    line = succeed("search", *words, cwd=tmp_path).out.splitlines()[-1]
    assert line == "next: python -m nas.retrain --config-dir 'my configs' genotype=run"
    for genotype in ("run", "run/genotype.json"):
        error = call("export", f"genotype={genotype}", cwd=tmp_path).error
        assert error.endswith(
            f"; retrain it first: python -m nas.retrain --config-dir 'my configs' genotype={genotype}"
        )
    (tmp_path / "run" / ".hydra" / "hydra.yaml").write_text("hydra: [")
    assert call("export", "genotype=run", cwd=tmp_path).error.endswith("first: python -m nas.retrain genotype=run")
    succeed("retrain", *shlex.split(line)[4:], *TINY, cwd=tmp_path)
    message = call("retrain", "genotype=run", *TINY, cwd=tmp_path).error
    assert message.startswith("there is no space 'mine'; choose one of bit_width, ")
    assert message.endswith(", or give the folder with your own as --config-dir FOLDER")


def test_what_is_given_wins(search: Path, tmp_path: Path) -> None:
    words = (f"genotype={search}", *TINY, "seed=6", "data=digits", "hydra.run.dir=run")
    succeed("retrain", *words, cwd=tmp_path)
    assert read_json(tmp_path / "run" / "summary.json")["seed"] == 6
    assert "nas.data.Digits" in config(tmp_path / "run")
    assert "pack.npz" not in config(tmp_path / "run")


def stranger(search: Path, folder: Path, overrides: str) -> Path:
    """A run directory as a stranger might send it."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / "genotype.json").write_bytes((search / "genotype.json").read_bytes())
    (folder / ".hydra" / "overrides.yaml").write_text(overrides)
    return folder


TRAP = f"{{_target_: {traces.__name__}.leave}}"


WORDS = [
    f"data={TRAP}",
    f"data.split={TRAP}",
    f"data.train={TRAP}",
    f"data._target_={traces.__name__}.leave",
    f"data.split._target_={traces.__name__}.leave",
    f"++data.split._target_={traces.__name__}.leave",
    f"space={TRAP}",
    f"space._target_={traces.__name__}.leave",
    f"trainer.optimizer={TRAP}",
    f"trainer.schedule._target_={traces.__name__}.leave",
    "hydra.run.dir=stolen",
    "trainer.epochs=99",
    "data.download=true",
    "data.cutout=1",
]
"""What a stranger's search may have been started with; only the last is to be taken over."""


def test_a_stranger_s_directory_names_no_class(search: Path, tmp_path: Path) -> None:
    folder = stranger(search, tmp_path / "run", json.dumps(WORDS))
    traces.left.clear()
    succeed("retrain", f"genotype={folder}", *TINY, "hydra.run.dir=retrained", cwd=tmp_path)
    assert traces.left == []
    assert traces.__name__ not in config(tmp_path / "retrained")
    assert "cutout: 1\n" in config(tmp_path / "retrained")
    assert read_json(tmp_path / "retrained" / "summary.json")["epochs"] == 1
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize(
    "word", ["data=FOLDER/evil", "space=FOLDER/evil", "+space=FOLDER/evil", "data@space=FOLDER/evil"]
)
def test_a_stranger_s_directory_names_no_config(search: Path, tmp_path: Path, word: str) -> None:
    """FOLDER leads from the shipped configs to a config beside the run."""
    settings = read_json(search / "genotype.json")["settings"]
    evil = {"_target_": f"{traces.__name__}.leave", "cutout": 0, **settings}
    (tmp_path / "evil.yaml").write_text(json.dumps(evil))
    word = word.replace("FOLDER", "/".join(12 * [".."]) + str(tmp_path))
    folder = stranger(search, tmp_path / "run", json.dumps([word, "seed=3"]))
    traces.left.clear()
    with contextlib.suppress(Exception):  # whatever it makes of what it got, it must not have got it
        call("retrain", f"genotype={folder}", *TINY, "hydra.run.dir=retrained", cwd=tmp_path)
    assert traces.left == []


def test_a_stranger_s_directory_cannot_spell_a_class_by_interpolation(search: Path, tmp_path: Path) -> None:
    """`_tar` and `get_` meet when the config is resolved."""
    spelt = '${oc.decode:"{_tar${data.root}: ' + traces.__name__ + '.leave}"}'
    folder = stranger(search, tmp_path / "run", json.dumps(["data.root=get_", f"data.split='{spelt}'"]))
    traces.left.clear()
    call("retrain", f"genotype={folder}", *TINY, cwd=tmp_path)
    assert traces.left == []


@pytest.mark.parametrize("overrides", ["a: [", "\x00", "{}", "3", "- 3\n- {a: b}\n", "!!python/name:os.system ''\n"])
def test_a_corrupt_record_of_overrides_is_no_traceback(search: Path, tmp_path: Path, overrides: str) -> None:
    folder = stranger(search, tmp_path / "run", overrides)
    outcome = call("retrain", f"genotype={folder}", *TINY, cwd=tmp_path)
    if outcome.status:
        assert "overrides.yaml" in outcome.error
