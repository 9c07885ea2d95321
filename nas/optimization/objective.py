"""The loss of a supernet."""

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from nas.architecture import Mixture
from nas.parallel import ALONE, Ranks
from nas.supernet import SynchronizedBatchNorm

Batch = tuple[Tensor, Tensor]
Criterion = Callable[[Tensor, Tensor], Tensor]


class Objective:
    """L(w, m; batch) = criterion(supernet_w(images, m), labels), in float32 or under autocast of another dtype.

    With several `ranks` a batch is the rows of this rank and L the part of the loss that they make: the whole loss is
    the mean of all parts. Gradients of the supernet's own weights are means over the ranks already, those of anything
    else are this rank's. `sync_batch_norm` takes batch statistics over all ranks: then the whole loss is that of one
    process, to rounding.
    """

    def __init__(
        self,
        supernet: nn.Module,
        criterion: Criterion = F.cross_entropy,
        *,
        autocast: torch.dtype | None = None,
        ranks: Ranks = ALONE,
        sync_batch_norm: bool = False,
    ) -> None:
        self.supernet = supernet
        self.criterion = criterion
        self.autocast = autocast
        self.ranks = ranks
        self._replica = ranks.replicated(supernet)
        self._statistics: AbstractContextManager[object] = (
            SynchronizedBatchNorm(ranks) if sync_batch_norm and ranks.size > 1 else nullcontext()
        )

    def __call__(
        self, batch: Batch, mixture: Mixture, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(loss, logits) at the supernet's own weights, or at other `weights` (parameters and buffers by name)."""
        images, labels = batch
        autocast = torch.autocast(images.device.type, dtype=self.autocast, enabled=self.autocast is not None)
        with autocast, self._statistics:
            if weights is None:
                logits = self._replica(images, mixture)
            else:
                logits = functional_call(self.supernet, dict(weights), (images, mixture))
        logits = at_least_float32(logits)
        return self.criterion(logits, labels), logits

    def leave(self) -> None:
        """From now on without the other ranks: for what this one does alone once the search has broken off."""
        self.ranks, self._replica, self._statistics = ALONE, self.supernet, nullcontext()

    def exact(self) -> "Objective":
        """The same loss of the same supernet without autocast."""
        exact = copy.copy(self)
        exact.autocast = None
        return exact

    def average_buffers(self) -> None:
        """Makes every real buffer, such as a running mean, the mean of those of the ranks."""
        buffers = [buffer for buffer in self.supernet.buffers() if buffer.is_floating_point()]
        for buffer, mean in zip(buffers, self.ranks.mean(buffers), strict=True):
            buffer.copy_(mean)

    def constants(self) -> dict[str, Tensor]:
        """The parameters, detached, and copies of the buffers: a forward pass at them leaves no trace."""
        parameters = {name: parameter.detach() for name, parameter in self.supernet.named_parameters()}
        return parameters | {name: buffer.clone() for name, buffer in self.supernet.named_buffers()}


def at_least_float32(logits: Tensor) -> Tensor:
    """Logits in the precision that losses are computed in: bf16 becomes float32, float64 stays.

    Raises:
        ValueError: anything but a tensor, as some networks return in training alone.
    """
    if not isinstance(logits, Tensor):
        raise ValueError(
            f"the network returns a value of type {type(logits).__name__} in training; it must return its logits "
            "alone, a tensor of shape [N, classes]"
        )
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
