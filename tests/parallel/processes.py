"""Two real processes of a group, for tests."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nas.parallel import Board, Ranks, Seat, joined


def on_ranks(task: Callable[..., Any], *arguments: Any, size: int = 2) -> list[Any]:
    """What `task(ranks, *arguments)` returns on each rank: tensors and plain data; it is a function of a module."""
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"  # as the command does
    context = multiprocessing.get_context("forkserver")  # imports torch once, and forks where nothing runs yet
    context.set_forkserver_preload(["nas.optimization", "search_spaces.cells", "tests.parallel.processes"])
    board = Board()
    with tempfile.TemporaryDirectory() as folder:
        started = [
            context.Process(target=_run, args=(folder, board.port, rank, size, task, arguments)) for rank in range(size)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join(240)
        assert [process.exitcode for process in started] == [0] * size
        return [torch.load(Path(folder) / str(rank), weights_only=True) for rank in range(size)]


def _run(folder: str, port: int, rank: int, size: int, task: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    with joined(Seat(rank, size, Board(port)), device=torch.device("cpu")) as ranks:
        torch.save(task(ranks, *arguments), Path(folder) / str(rank))


def alone(task: Callable[..., Any], *arguments: Any) -> Any:
    """What one process makes of the same task."""
    with torch.random.fork_rng(devices=[]):
        return task(Ranks(), *arguments)
