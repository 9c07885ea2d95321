"""Images as rows of channels: what a channels-last tensor is in memory."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.overrides import has_torch_function_unary

from nas.supernet.cpu import splits

LANES = 16
"""Numbers that a CPU takes at a time; PyTorch's batch norm is slow where they are more than the channels left."""


def rows(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N * H * W, C): a view where `x` is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def image(pixels: Tensor, batch: int, height: int, width: int) -> Tensor:
    """(N * H * W, C) as (N, C, H, W), channels-last: a view of contiguous rows."""
    return pixels.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def every_second(x: Tensor, start: int = 0) -> Tensor:
    """Every second row and column from `start` on: a view, whose gradient comes in the memory format of `x`.

    The gradient of a slice is contiguous, so that of one of a channels-last image would not be channels-last.
    """
    second = slice(start, None, 2)
    if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
        return x[:, :, second, second]
    return x.permute(0, 2, 3, 1)[:, second, second].permute(0, 3, 1, 2)


def batch_norm(x: Tensor, eps: float, *, relu: bool = False) -> Tensor:
    """Batch norm by the statistics of the batch, without scale, shift and memory, then ReLU if asked.

    (N, C, H, W) to the same. It runs on rows, forward and backward: PyTorch's backward takes ten times as long on a CPU
    for images of fewer than 64 channels, and six times for a gradient that is not contiguous. For channels that are no
    multiple of `LANES` it takes two to seven times as long even so; then several rows count as one in it, where they
    can, and a gradient of the gradient is refused. A `TorchFunctionMode` sees `F.batch_norm`.
    """
    batch, _, height, width = x.shape
    pixels = rows(x)
    together = _rows_of_whole_lanes(pixels)
    if together == 1:
        normalized = F.batch_norm(pixels, None, None, training=True, eps=eps)
    else:
        normalized = _BatchNormOfFew.apply(pixels, together, eps)
    if relu:
        normalized = normalized.relu_()
    return image(_ContiguousGradient.apply(normalized), batch, height, width)


def _rows_of_whole_lanes(pixels: Tensor) -> int:
    """How many rows, side by side, fill whole `LANES`; 1 where that is no matter or impossible."""
    number, channels = pixels.shape
    together = LANES // math.gcd(channels, LANES)
    slow = splits(pixels.device) and pixels.dtype in (torch.float32, torch.float64) and pixels.requires_grad
    seen = torch.compiler.is_compiling() or has_torch_function_unary(pixels)
    return together if slow and not seen and number % together == 0 else 1


class _BatchNormOfFew(Function):
    """(R, C) to batch norm by channel; the backward pass is on (R / n, n * C) for n rows together.

    With z the normalized x, dL/dx = (g - mean(g) - z mean(g z)) / std. Sums over rows are those of the n columns of a
    channel, added up.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, together: int, eps: float) -> Tensor:
        x = x.contiguous()
        y, mean, scale = torch.native_batch_norm(x, None, None, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, mean, scale)
        ctx.together, ctx.eps = together, eps
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, mean, scale = ctx.saved_tensors
        n, (number, channels) = ctx.together, x.shape
        x, gradient = x.view(-1, n * channels), gradient.reshape(-1, n * channels)
        means, scales = torch.stack([mean, scale]).repeat(1, n)
        sums = torch.ops.aten.native_batch_norm_backward(
            gradient, x, scales, None, None, means, scales, True, ctx.eps, [False, True, True]
        )
        along, total = torch.stack(sums[1:]).view(2, n, channels).sum(1)  # sum(g z), sum(g)
        pull = scale * (-1 / number)
        slope = along * scale * pull
        offset = torch.addcmul(total * pull, slope, mean, value=-1)
        offsets, slopes = torch.stack([offset, slope]).repeat(1, n)
        dx = torch.addcmul(offsets, x, slopes).addcmul_(gradient, scales)
        return dx.view(number, channels), None, None


class _ContiguousGradient(Function):
    """The identity, whose gradient is contiguous."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()
