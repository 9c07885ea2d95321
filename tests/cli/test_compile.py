"""`compile=true`: what a person sees of it, and that the search is the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.cli.commands import SMALL_CELL, TINY, Outcome, call, read_epochs, read_json, succeed

WORDS = ("space=darts", "space.operators=[none,skip_connect]", *TINY, *SMALL_CELL, "trainer.arch_warmup=0")
pytestmark = [
    # of torch's own tracing, which users never see but of which pytest makes errors
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search without it."""
    folder = tmp_path_factory.mktemp("plain")
    succeed("search", *WORDS, "hydra.run.dir=run", cwd=folder)
    return folder / "run"


def compiled(folder: Path, *words: str) -> Outcome:
    outcome = call("search", *WORDS, "compile=true", "hydra.run.dir=run", *words, cwd=folder)
    assert outcome.status == 0, outcome.err
    return outcome


def timeless(run: Path) -> list[dict[str, Any]]:
    return [{**epoch, "seconds": None} for epoch in read_epochs(run)]


def test_it_is_timed_and_told(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend runs each graph as PyTorch does, so nothing but the time tells."""

    def compile(module: nn.Module, *, dynamic: bool, backend: str) -> None:
        module._compiled_call_impl = torch.compile(module._call_impl, dynamic=dynamic, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", compile)
    outcome = compiled(tmp_path)
    assert outcome.err == ""
    seconds = read_json(tmp_path / "run" / "summary.json")["compile_seconds"]
    assert seconds > 0
    assert outcome.out.splitlines()[0] == f"compiled the supernet in {seconds:.0f} s"
    assert timeless(tmp_path / "run") == timeless(plain)


def test_without_a_compiler_one_line_says_so_and_the_search_runs(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile(module: nn.Module, *, dynamic: bool, backend: str) -> None:
        raise RuntimeError(f"backend={backend!r} raised:\nthere is no compiler\nand more")

    monkeypatch.setattr(nn.Module, "compile", compile)
    outcome = compiled(tmp_path)
    assert outcome.err == (
        "warning: compile=true failed, so the search runs without it: backend='inductor' raised: there is no compiler\n"
    )
    assert "compiled" not in outcome.out
    assert "compile_seconds" not in read_json(tmp_path / "run" / "summary.json")
    assert timeless(tmp_path / "run") == timeless(plain)


def test_a_random_search_has_nothing_to_compile(tmp_path: Path) -> None:
    line = call("search", *WORDS, "compile=true", "method=random", "hydra.run.dir=run", cwd=tmp_path).error
    assert line == "compile=true compiles a supernet, which a search without alphas does not have: leave it out"


@pytest.mark.slow
def test_the_real_compiler(plain: Path, tmp_path: Path) -> None:
    assert compiled(tmp_path).err == ""
    found, wanted = (read_epochs(run)[0] for run in (tmp_path / "run", plain))
    for key in ("train_loss", "valid_loss", "alphas"):
        torch.testing.assert_close(found[key], wanted[key], rtol=1e-3, atol=1e-5)
