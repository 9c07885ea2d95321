"""Partial channel connections."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture import Candidate
from nas.supernet.mixed import MixedModule


class PartialChannels(MixedModule):
    """Mixes the first 1/k of the channels and lets the rest bypass (PC-DARTS, Xu et al., 2020).

    y = channel_shuffle([mixed(x_a), x_b], k) with x_a = x[:, :C/k] and x_b the rest. Where the mixed module halves the
    image, the bypass is max-pooled 2x2; in ceil mode, a deviation from the authors' code, so that odd sizes fit too.
    k = 1 leaves nothing to bypass: y = mixed(x).

    Raises:
        ValueError: k below 1.
    """

    def __init__(self, mixed: MixedModule, k: int) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"partial channels send 1/k of the channels through, k at least 1; this k is {k}")
        self.kind = mixed.kind
        self.mixed = mixed
        self.k = k

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self.mixed.candidates

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return _through_part(x, self.k, lambda part: self.mixed(part, weights))

    def select(self, candidate: Candidate) -> nn.Module:
        return _PartialOperator(self.mixed.select(candidate), self.k)


class _PartialOperator(nn.Module):
    """One operator on the first 1/k of the channels: a partial mixture after its choice was made."""

    def __init__(self, operator: nn.Module, k: int) -> None:
        super().__init__()
        self.operator = operator
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        return _through_part(x, self.k, self.operator)


def _through_part(x: Tensor, k: int, module: Callable[[Tensor], Tensor]) -> Tensor:
    if k == 1:
        return module(x)
    part, bypass = x.tensor_split([x.shape[1] // k], dim=1)
    y = module(part)
    if y.shape[-2:] != x.shape[-2:]:
        bypass = F.max_pool2d(bypass, kernel_size=2, ceil_mode=True)
    return F.channel_shuffle(torch.cat([y, bypass], dim=1), k)
