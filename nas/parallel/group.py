"""Joining and leaving a group of processes."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from nas.parallel.ranks import ALONE, Ranks


@contextmanager
def joined(store: dist.Store | None, rank: int, size: int, *, device: torch.device) -> Iterator[Ranks]:
    """The ranks of a group while it lasts; all members enter at once, and find each other through the store.

    Tensors on the CPU travel by gloo, those on a GPU by NCCL; `device` is where this member computes. A group of one
    is no group and needs no store.
    """
    if size == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size
    )
    try:
        with warnings.catch_warnings():
            # a gradient of shape (C, 1, k, k) whose stride along the 1 is another: it is copied all the same
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield Ranks(rank, size)
    finally:
        dist.destroy_process_group()
