"""Depthwise convolutions of many edges at once, with a backward pass that is fast on a CPU too."""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from nas.supernet.precision import autocast_dtype, without_autocast

SPLIT_ON = {"cpu"}
"""The devices on which the gradients of large and dilated kernels are computed in parts; elsewhere by PyTorch."""


class Copies:
    """`count` copies of the channels of `x`, one after the other: (N, C, H, W) that counts as (N, count * C, H, W).

    The copies are made once, however many convolutions read them; gradients go to `x` and are summed before they are
    stored.
    """

    def __init__(self, x: Tensor, count: int = 1) -> None:
        self.x = x
        self.count = count
        self._repeated: Tensor | None = None  # not cached_property, whose lock torch.compile cannot enter

    @property
    def repeated(self) -> Tensor:
        """The copies, channels-last and without a gradient."""
        if self._repeated is None:
            self._repeated = _repeat(self.x.detach(), self.count)
        return self._repeated

    def every_second(self) -> "Copies":
        """The copies of every second row and column."""
        return Copies(self.x[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last), self.count)


def depthwise_conv2d(source: Copies, weight: Tensor, *, stride: int = 1, dilation: int = 1) -> Tensor:
    """Each channel of each copy convolved with its own kernel, padded so that stride 1 keeps the image size.

    `weight` has shape (count * C, 1, k, k) with k odd; the output (N, count * C, H', W') is channels-last. It equals
    `torch.nn.functional.conv2d` on the repeated input; the backward pass is another on a CPU, where PyTorch's takes
    5 to 12 times as long as the forward pass for kernels above 3x3 and for dilated ones:

    - the gradient of a dilated convolution's input is a convolution with the kernel turned around;
    - a stride that equals the dilation reads every second pixel only, so both are dropped with the others;
    - taps are taken three columns at a time, from copies of the rows that are shifted and lie below each other;
    - the phases of a dilated convolution lie side by side, zeros between them, and are convolved without dilation.
    """
    if (dtype := autocast_dtype(weight.device)) is not None:
        weight = weight.to(dtype)
        source = source if source.x.dtype == dtype else Copies(source.x.to(dtype), source.count)
    if stride == dilation == 2:
        source, stride, dilation = source.every_second(), 1, 1
    result: Tensor = _Depthwise.apply(source.x, weight, source.repeated, source.count, stride, dilation)
    return result


class _Depthwise(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, repeated: Tensor, count: int, stride: int, dilation: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight, *([] if x.device.type in SPLIT_ON else [repeated]))
        ctx.count, ctx.stride, ctx.dilation = count, stride, dilation
        padding = dilation * (weight.shape[-1] // 2)
        with without_autocast(x.device):
            return F.conv2d(repeated, weight, None, stride, padding, dilation, weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *repeated = ctx.saved_tensors
        need_x, need_weight = ctx.needs_input_grad[:2]
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        stride, dilation, kernel = ctx.stride, ctx.dilation, weight.shape[-1]
        dx = dweight = None
        if x.device.type not in SPLIT_ON or (dilation == 1 and kernel <= 3) or (dilation > 1 and stride > 1):
            every = repeated[0] if repeated else _repeat(x, ctx.count)
            dx, dweight = _native(gradient, every, weight, stride, dilation, need_x, need_weight)
        else:
            if need_weight:
                dweight = _weight_gradient(x, ctx.count, gradient, kernel, stride, dilation)
            if need_x and dilation > 1:
                padding = dilation * (kernel // 2)
                dx = F.conv2d(gradient, weight.flip(2, 3), None, 1, padding, dilation, weight.shape[0])
            elif need_x:
                shape = (x.shape[0], weight.shape[0], *x.shape[2:])
                stand_in = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
                dx, _ = _native(gradient, stand_in, weight, stride, dilation, True, False)
        return None if dx is None else _sum_copies(dx, ctx.count), dweight, None, None, None, None


def _native(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, dilation: int, need_x: bool, need_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """PyTorch's own gradients of a depthwise convolution."""
    padding = dilation * (weight.shape[-1] // 2)
    strides, paddings, dilations = [stride] * 2, [padding] * 2, [dilation] * 2
    mask = [need_x, need_weight, False]
    dx, dweight, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, strides, paddings, dilations, False, [0, 0], weight.shape[0], mask
    )
    return dx, dweight


def _weight_gradient(x: Tensor, count: int, gradient: Tensor, kernel: int, stride: int, dilation: int) -> Tensor:
    """dL/dweight of a depthwise convolution, (count * C, 1, k, k)."""
    padding = kernel // 2
    if dilation > 1:
        x, gradient = _side_by_side(x, dilation, padding), _side_by_side(gradient, dilation, padding)
    batch, channels, height, _ = x.shape
    taps = min(kernel, 3)
    starts = [*range(0, kernel - 3, 3), kernel - taps]
    needed = (gradient.shape[3] - 1) * stride + taps  # columns that the output's columns read
    pixels, zero, parts = x.permute(0, 2, 3, 1), x.new_zeros(1), []
    for start in starts:
        first = start - padding  # the column under the first tap
        within = pixels[:, :, max(first, 0) : max(first + needed, 0)]
        left = min(max(-first, 0), needed)
        right = needed - left - within.shape[2]
        parts += [zero.expand(batch, height, left, channels)] if left else []
        parts += [within]
        parts += [zero.expand(batch, height, right, channels)] if right else []
    shifts = len(starts)
    below = torch.cat(parts, 2).reshape(batch, height * shifts, needed, channels).permute(0, 3, 1, 2)
    _, dweight, _ = torch.ops.aten.convolution_backward(
        gradient,
        _repeat(below, count),
        gradient.new_empty((gradient.shape[1], 1, kernel * shifts, taps)),
        None,
        [stride * shifts, stride],
        [padding * shifts, 0],
        [1, 1],
        False,
        [0, 0],
        gradient.shape[1],
        [False, True, False],
    )
    by_shift = dweight.view(-1, 1, kernel, shifts, taps)
    fresh = [0, *(before + taps - start for before, start in pairwise(starts))]
    return torch.cat([by_shift[:, :, :, shift, known:] for shift, known in enumerate(fresh)], dim=-1)


def _side_by_side(x: Tensor, dilation: int, gap: int) -> Tensor:
    """The phases of an image (the pixels that one dilated kernel sees together) in one row, `gap` zeros after each.

    Images too low for the kernel get their phases in rows too: low images are slow.
    """
    batch, channels, height, width = x.shape
    if height % dilation or width % dilation:
        x = F.pad(x, (0, -width % dilation, 0, -height % dilation))
    height, width = -(-height // dilation), -(-width // dilation)
    phases = x.permute(0, 2, 3, 1).reshape(batch, height, dilation, width, dilation, channels)
    if height <= 2 * gap:
        tiles = F.pad(phases.permute(0, 2, 1, 4, 3, 5), (0, 0, 0, gap, 0, 0, 0, gap))
        return tiles.reshape(batch, -1, dilation * (width + gap), channels).permute(0, 3, 1, 2)
    tiles = F.pad(phases.permute(0, 1, 2, 4, 3, 5), (0, 0, 0, gap))
    return tiles.reshape(batch, height, -1, channels).permute(0, 3, 1, 2)


def _repeat(x: Tensor, count: int) -> Tensor:
    if count == 1:
        return x
    batch, channels, height, width = x.shape
    copies = x.permute(0, 2, 3, 1)[:, :, :, None].expand(batch, height, width, count, channels)
    return copies.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def _sum_copies(x: Tensor, count: int) -> Tensor:
    if count == 1:
        return x
    batch, channels, height, width = x.shape
    copies = x.permute(0, 2, 3, 1).reshape(batch, height, width, count, channels // count)
    return copies.sum(3).permute(0, 3, 1, 2)
