"""The loss of a supernet."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from nas.architecture import Mixture

Batch = tuple[Tensor, Tensor]
Criterion = Callable[[Tensor, Tensor], Tensor]


class Objective:
    """L(w, m; batch) = criterion(supernet_w(images, m), labels), in float32 or under autocast of another dtype."""

    def __init__(
        self, supernet: nn.Module, criterion: Criterion = F.cross_entropy, *, autocast: torch.dtype | None = None
    ) -> None:
        self.supernet = supernet
        self.criterion = criterion
        self.autocast = autocast

    def __call__(
        self, batch: Batch, mixture: Mixture, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(loss, logits) at the supernet's own weights, or at other `weights` (parameters and buffers by name)."""
        images, labels = batch
        with torch.autocast(images.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            if weights is None:
                logits = self.supernet(images, mixture)
            else:
                logits = functional_call(self.supernet, dict(weights), (images, mixture))
        logits = at_least_float32(logits)
        return self.criterion(logits, labels), logits

    def constants(self) -> dict[str, Tensor]:
        """The parameters, detached, and copies of the buffers: a forward pass at them leaves no trace."""
        parameters = {name: parameter.detach() for name, parameter in self.supernet.named_parameters()}
        return parameters | {name: buffer.clone() for name, buffer in self.supernet.named_buffers()}


def at_least_float32(logits: Tensor) -> Tensor:
    """Logits in the precision that losses are computed in: bf16 becomes float32, float64 stays."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
