"""Batch norm with a scale and a shift for every width."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture import Candidate
from nas.supernet.batch_statistics import BatchStatistics
from nas.supernet.mixed import MixedModule


class SwitchableBatchNorm(MixedModule):
    """y = (sum_k w_k gamma_k) * norm(x) + sum_k w_k beta_k: a scale and a shift for every channel width.

    Switchable batch norm of slimmable networks (Yu et al., 2019), with statistics of the batch (`BatchStatistics`), so
    that the networks of different widths share no more than they must. `candidates` are those of the width choice
    whose channels are normalized; all start from `norm`. What is selected holds the pair of its width.

    Raises:
        ValueError: a batch norm without scale and shift.
    """

    kind = "width"

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d, candidates: Sequence[Candidate]) -> None:
        super().__init__()
        assert candidates
        if not norm.affine:
            raise ValueError("a batch norm with affine=False has no scale and shift to switch: leave it as it is")
        self._candidates = tuple(candidates)
        self.eps = norm.eps
        self.norms = nn.ModuleList(BatchStatistics.of(copy.deepcopy(norm)) for _ in candidates)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self._candidates

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        norms = [cast(BatchStatistics, norm) for norm in self.norms]
        scale, shift = (_weighted(weights, rows) for rows in ([n.weight for n in norms], [n.bias for n in norms]))
        return F.batch_norm(x, None, None, scale, shift, training=True, eps=self.eps)

    def select(self, candidate: Candidate) -> nn.Module:
        return self.norms[self._candidates.index(candidate)]


def _weighted(weights: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """sum_k w_k v_k, (C,), in the precision of v."""
    stacked = torch.stack(list(rows))
    return (weights.to(stacked.dtype)[:, None] * stacked).sum(0)
