"""One run is what Hydra makes of its words, and sweeps and flags are left to it."""

from pathlib import Path
from typing import Any

import pytest
from hydra._internal.hydra import Hydra

from nas.cli.arguments import one_run
from tests.cli.commands import SMALL_CELL, TINY, succeed

WORDS = ("search", "+space=darts", *TINY, *SMALL_CELL, "hydra.run.dir=run")
MAIN = "hydra.mode=RUN"
"""Leaves a run to hydra.main, which adds this word itself where it is not given."""


def composed(*words: str, cwd: Path) -> tuple[int, dict[str, str]]:
    """How often a run composes its config, and what Hydra writes down of it."""
    times, compose_config = 0, Hydra.compose_config

    def counted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal times
        times += 1
        return compose_config(*arguments, **keywords)

    cwd.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hydra, "compose_config", counted)
        succeed(*words, cwd=cwd)
    texts = {path.name: path.read_text() for path in (cwd / "run" / ".hydra").iterdir()}
    return times, {name: text.replace(str(cwd), "") for name, text in texts.items()}


def test_hydra_writes_down_the_same_and_composes_once(tmp_path: Path) -> None:
    times, files = composed(*WORDS, cwd=tmp_path / "own")
    wanted_times, wanted = composed(*WORDS, MAIN, cwd=tmp_path / "main")
    assert sorted(files) == ["config.yaml", "hydra.yaml", "overrides.yaml"]
    assert files == wanted
    assert (times, wanted_times) == (1, 3)


@pytest.mark.parametrize(
    ("words", "one"),
    [
        (["space=darts", "++seed=1", "hydra.run.dir=run"], True),
        ([], True),
        (["-m", "space=darts", "++seed=1,2"], False),
        (["--config-dir", "own", "space=darts"], False),
        (["--help"], False),
        (["~budget", "~trainer.schedule"], True),
        (["~hydra.mode"], False),
        (["~ hydra.mode"], False),
        (["hydra.mode=MULTIRUN"], False),
        (["hydra={mode:MULTIRUN}"], False),
        (["hydra.searchpath=[file://own]"], False),
    ],
)
def test_what_is_one_run(words: list[str], one: bool) -> None:
    assert one_run(words) == one
