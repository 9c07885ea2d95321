"""The processes that share one search."""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

# a new name since torch 2.13, where the old one is deprecated
_RENAMED = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
_OWN_BUFFERS: dict[str, Any] = {"forward_sync_buffers" if _RENAMED else "broadcast_buffers": False}


class DisagreementError(RuntimeError):
    """The ranks of a search hold different values where all must hold the same bits."""


@dataclass(frozen=True)
class Ranks:
    """`size` processes that share every batch, seen from one of them: `rank`, 0 .. size - 1. `Ranks()` is one alone.

    Each takes its rows of a batch; the batch's loss is the mean of theirs, and so is its gradient. Every method that
    communicates is called by all ranks in the same order; with one rank it returns what it is given.
    """

    rank: int = 0
    size: int = 1

    def rows(self, count: int) -> slice:
        """This rank's rows of a batch of `count`: as many as those of any other rank.

        Raises:
            ValueError: a batch that cannot be divided so.
        """
        if count % self.size:
            raise ValueError(
                f"trainer.batch_size {count} cannot be divided among trainer.devices={self.size}; "
                f"choose a multiple of {self.size}"
            )
        own = count // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def turns(self, count: int) -> range:
        """Which of `count` things are this rank's, where the ranks take turns."""
        return range(self.rank, count, self.size)

    def mean(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """The mean of each tensor over the ranks, equal bits on all of them, by a single all-reduce.

        No gradient passes. The tensors lie on one device and have the same shapes on each rank.
        """
        tensors = list(tensors)
        if self.size == 1 or not tensors:
            return tensors
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        dist.all_reduce(flat)
        parts = flat.div_(self.size).split([tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape).to(tensor.dtype) for part, tensor in zip(parts, tensors, strict=True)]

    def total(self, sums: Tensor) -> Tensor:
        """The sum of a tensor on the CPU over the ranks."""
        if self.size == 1:
            return sums
        sums = sums.clone()
        dist.all_reduce(sums)
        return sums

    def highest(self, number: int) -> int:
        """The highest of the ranks' numbers."""
        if self.size == 1:
            return number
        numbers = torch.tensor([number])
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return int(numbers)

    def of_first(self, make: Callable[[], str]) -> str:
        """What `make` returns on rank 0, the only one that calls it; the others wait, half an hour at most."""
        if self.size == 1:
            return make()
        texts = [make() if self.rank == 0 else ""]
        dist.broadcast_object_list(texts, device=torch.device("cpu"))
        return texts[0]

    def gathered(self, value: Any) -> list[Any]:
        """The value of every rank, in their order, on each of them; tensors in it lie on the CPU."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def replicated(self, module: nn.Module) -> nn.Module:
        """The module with rank 0's weights and buffers on each rank, and with weight gradients that are their means.

        It shares its parameters with `module`, which stays as it is, the names in its state dict included. Parameters
        without a gradient in a step stay without one. From then on buffers belong to each rank.
        """
        if self.size == 1:
            return module
        for buffer in () if _RENAMED else module.buffers():  # under the old name they are not sent at the start either
            dist.broadcast(buffer, 0)
        return DistributedDataParallel(module, find_unused_parameters=True, **_OWN_BUFFERS)

    def require_agreement(self, when: str, **values: Iterable[Tensor]) -> None:
        """Compares named tensors over the ranks, bit for bit, by a digest of each name.

        Raises:
            DisagreementError: they differ; on every rank, with the names and `when`.
        """
        if self.size == 1:
            return
        own = torch.stack([_digest(tensors) for tensors in values.values()])
        every = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(every, own)
        differing = [name for row, name in enumerate(values) if any((one[row] != every[0][row]).any() for one in every)]
        if differing:
            raise DisagreementError(
                f"{when}, the {self.size} processes of the search differ in {' and '.join(differing)}: nothing that "
                "they compute may depend on the rank; use deterministic operators, or trainer.devices=1"
            )


ALONE = Ranks()
"""A process that shares nothing."""


def _digest(tensors: Iterable[Tensor]) -> Tensor:
    """SHA-256 of the bits of some tensors, (32,) uint8 on the CPU."""
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return torch.frombuffer(bytearray(state.digest()), dtype=torch.uint8)
