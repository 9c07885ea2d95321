"""A run that is out of memory says which batch size fits."""

from pathlib import Path
from typing import Any

import pytest
import torch

from nas.optimization import DiscreteLoss, Objective
from tests.cli.commands import SMALL_CELL, TINY, call, succeed
from tests.marks import slow

COMMANDS = {"search": ("space=darts", *TINY, *SMALL_CELL), "retrain": ("genotype=DARTS_V2", *TINY)}


CUBLAS = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def limit(rows: int, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    """Stands for a GPU: losses of more rows do not fit."""
    raised = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    for kind in (Objective, DiscreteLoss):
        call_of = kind.__call__

        def limited(self: Any, batch: Any, more: Any, *rest: Any, call_of: Any = call_of) -> Any:
            labels = batch[1] if isinstance(self, Objective) else more
            if len(labels) > rows:
                raise raised
            return call_of(self, batch, more, *rest)

        monkeypatch.setattr(kind, "__call__", limited)


@pytest.mark.parametrize("command", ["search", *slow("retrain")])
def test_the_batch_size_that_fits_is_named_and_fits(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(11, monkeypatch)
    line = call(command, *COMMANDS[command], "hydra.run.dir=run", cwd=tmp_path).error
    assert line == (
        "the GPU ran out of memory at trainer.batch_size=16; measured here, 11 fits: give trainer.batch_size=11 and "
        "another hydra.run.dir"
    )
    succeed(command, *COMMANDS[command], "trainer.batch_size=11", "hydra.run.dir=other", cwd=tmp_path)


def test_memory_that_a_library_lacks_is_measured_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(11, monkeypatch, CUBLAS)
    line = call("retrain", *COMMANDS["retrain"], "hydra.run.dir=run", cwd=tmp_path).error
    assert line.startswith("the GPU ran out of memory at trainer.batch_size=16; measured here, 11 fits")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), CUBLAS], ids=["torch", "cublas"])
@pytest.mark.parametrize("command", COMMANDS)
def test_memory_that_ends_before_the_first_step_is_one_line(
    command: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def feed_of(*args: Any, **settings: Any) -> None:
        raise error

    monkeypatch.setattr({"search": "nas.cli.search_job", "retrain": "nas.retrain"}[command] + ".feed_of", feed_of)
    line = call(command, *COMMANDS[command], "hydra.run.dir=run", cwd=tmp_path).error
    assert line.startswith("the GPU ran out of memory before the first step, while the network was built")
    assert line.endswith("give smaller network.channels or network.cells")


def test_memory_that_ends_while_a_state_is_loaded_is_no_fault_of_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*COMMANDS["retrain"], "hydra.run.dir=run")
    succeed("retrain", *words, cwd=tmp_path)

    def load_module(*args: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("nas.optimization.training.load_module", load_module)
    line = call("retrain", *words, "resume=true", "trainer.epochs=2", cwd=tmp_path).error
    assert line.startswith("the GPU ran out of memory before the first step")


def test_not_even_the_smallest_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(1, monkeypatch)
    line = call("retrain", *COMMANDS["retrain"], "hydra.run.dir=run", cwd=tmp_path).error
    assert line == (
        "the GPU ran out of memory at trainer.batch_size=16, and no smaller batch fits: give smaller network.channels "
        "or network.cells"
    )
