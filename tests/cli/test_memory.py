"""A run that is out of memory says which batch size fits."""

from pathlib import Path
from typing import Any

import pytest
import torch

from nas.optimization import DiscreteLoss, Objective
from tests.cli.commands import SMALL_CELL, TINY, call, succeed

COMMANDS = {"search": ("space=darts", *TINY, *SMALL_CELL), "retrain": ("genotype=DARTS_V2", *TINY)}


def limit(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for a GPU: losses of more rows do not fit."""
    for kind in (Objective, DiscreteLoss):
        call_of = kind.__call__

        def limited(self: Any, batch: Any, more: Any, *rest: Any, call_of: Any = call_of) -> Any:
            labels = batch[1] if isinstance(self, Objective) else more
            if len(labels) > rows:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return call_of(self, batch, more, *rest)

        monkeypatch.setattr(kind, "__call__", limited)


@pytest.mark.parametrize("command", COMMANDS)
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


def test_not_even_the_smallest_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(1, monkeypatch)
    line = call("retrain", *COMMANDS["retrain"], "hydra.run.dir=run", cwd=tmp_path).error
    assert line == (
        "the GPU ran out of memory at trainer.batch_size=16, and no smaller batch fits: give smaller network.channels "
        "or network.cells"
    )
