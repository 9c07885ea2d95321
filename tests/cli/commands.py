"""Calling the commands: inside this process, which saves the seconds that imports take, or as a person does."""

import contextlib
import importlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

CONF = Path(__file__).parents[2] / "conf"
TINY = ("debug=smoke", "trainer.epochs=1", "network.cells=1")
"""What makes a search or a retraining take a second."""
SMALL_CELL = ("space.num_nodes=1",)
"""What makes a search half as long again; a genotype knows its own number of nodes."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on standard error, checked to be mistakes that a person is told of, and the status to be 1."""
        assert self.status == 1, self
        lines = self.err.splitlines()
        assert lines, self
        assert all(line.startswith("error: ") for line in lines), self.err
        assert "Traceback" not in self.out + self.err
        return [line.removeprefix("error: ") for line in lines]

    @property
    def error(self) -> str:
        """The only line on standard error."""
        (line,) = self.errors
        return line


def call(module: str, *words: str, cwd: Path) -> Outcome:
    """`python -m nas.MODULE WORDS` in the folder `cwd`, without a new process."""
    command = importlib.import_module(f"nas.{module}")
    out, err = io.StringIO(), io.StringIO()
    with _restored(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.argv = [f"nas.{module}", *words]
        os.chdir(cwd)
        try:
            status = command.main()
        except SystemExit as end:
            status = int(end.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


def succeed(module: str, *words: str, cwd: Path) -> Outcome:
    """As `call`, for a command that has to end well."""
    outcome = call(module, *words, cwd=cwd)
    assert outcome.status == 0, outcome.err
    assert outcome.err == "", repr(outcome.err)
    return outcome


def shell(words: list[str], *, cwd: Path, seconds: float = 240, **environment: str) -> Outcome:
    """`python WORDS` as a process of its own, which has so many seconds."""
    process = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    return Outcome(process.returncode, process.stdout, process.stderr)


def read_json(path: Path) -> Any:
    """The data of a JSON file."""
    return json.loads(path.read_text())


def read_epochs(run: Path, name: str = "search.jsonl") -> list[dict[str, Any]]:
    """The lines of a run's record."""
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file in and below a folder, and what it holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """What a command changes in its process is as before: folder, arguments, environment, log, threads, Hydra."""
    root = logging.getLogger()
    handlers, level, threads, cwd = root.handlers[:], root.level, torch.get_num_threads(), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys.argv)
        for variable in ("HYDRA_FULL_ERROR", "NAS_FULL_ERROR"):
            patch.setenv(variable, os.environ.get(variable, "0"))
        try:
            yield
        finally:
            os.chdir(cwd)
            root.handlers[:], root.level = handlers, level
            torch.set_num_threads(threads)
            GlobalHydra.instance().clear()
            HydraConfig.instance().cfg = None
