"""Batch norm that normalizes by the statistics of its batch alone."""

import torch.nn.functional as F
from torch import Tensor, nn


class BatchStatistics(nn.BatchNorm2d):
    """Batch norm by the statistics of the batch, in training and in evaluation, which never moves its running ones.

    x: (N, C), (N, C, L), (N, C, H, W) or more. In a supernet running statistics would mix those of all architectures.
    They stay where they were and in the state dict, which is that of the plain layer, so that a derived network has
    them.
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) -> "BatchStatistics":
        """The same layer with other statistics: it shares the layer's parameters and buffers."""
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats, device="meta")
        for name, own in (*norm.named_parameters(), *norm.named_buffers()):
            setattr(made, name, own)
        return made.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:
        return F.batch_norm(input, None, None, self.weight, self.bias, training=True, eps=self.eps)
