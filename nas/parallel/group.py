"""From processes that know of each other to ranks that share a search."""

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from nas.parallel.board import Board
from nas.parallel.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Seat:
    """A process's place in a group that it has yet to join, and the group's board; `Seat()` is that of one alone."""

    rank: int = 0
    size: int = 1
    board: Board | None = None


@functools.cache
def torchrun_seat() -> Seat | None:
    """The seat that torchrun gave this process, or None where another program started it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    store, rank, size = next(iter(dist.rendezvous("env://")))
    return Seat(rank, size, Board(store=store))


@contextmanager
def joined(seat: Seat, *, device: torch.device, together: type[BaseException] | tuple[()] = ()) -> Iterator[Ranks]:
    """The ranks of a group while it lasts; all members enter it together.

    `device` is where this one computes. Tensors on the CPU travel by gloo, those on a GPU by NCCL. After an error the
    connections end with the process, not before it has said what happened: the others fail when they are cut. An error
    that all raise `together` is an end as any other; a process that ends with connections may abort.
    """
    if seat.board is None:
        yield ALONE
        return
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, store=seat.board.store, rank=seat.rank, world_size=seat.size)
    with warnings.catch_warnings():
        # a gradient of shape (C, 1, k, k) whose stride along the 1 is another: it is copied all the same
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        try:
            yield Ranks(seat.rank, seat.size)
        except together:
            dist.destroy_process_group()
            raise
    dist.destroy_process_group()
