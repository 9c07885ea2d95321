"""Images as rows of channels: what a channels-last tensor is in memory."""

import torch.nn.functional as F
from torch import Tensor


def rows(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N * H * W, C): a view where `x` is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def image(pixels: Tensor, batch: int, height: int, width: int) -> Tensor:
    """(N * H * W, C) as (N, C, H, W), channels-last: a view of contiguous rows."""
    return pixels.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def batch_norm(x: Tensor, eps: float, *, relu: bool = False) -> Tensor:
    """Batch norm by the statistics of the batch, without scale, shift and memory, then ReLU if asked.

    (N, C, H, W) to the same. It runs on rows: PyTorch's backward on images of fewer than 64 channels takes ten times
    as long on a CPU.
    """
    batch, _, height, width = x.shape
    normalized = F.batch_norm(rows(x), None, None, training=True, eps=eps)
    return image(normalized.relu_() if relu else normalized, batch, height, width)
