"""Depthwise convolutions of many edges at once, with a backward pass that is fast on a CPU too."""

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from nas.supernet.precision import autocast_dtype, without_autocast

SPLIT_ON = {"cpu"}
"""The devices on which the gradients of large and dilated kernels are computed in parts; elsewhere by PyTorch."""

COLUMNS = 3
"""Of a kernel at a time: the most of which a CPU computes the gradient fast."""


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
    - the gradient of the kernel is taken three columns at a time;
    - a stride divides the image into phases, each of which meets taps of its own, without a stride;
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
        padding = [dilation * (kernel // 2)] * 2
        dx = dweight = None
        if x.device.type not in SPLIT_ON or (dilation == 1 and kernel <= 3) or (dilation > 1 and stride > 1):
            every = repeated[0] if repeated else _repeat(x, ctx.count)
            dx, dweight = _native(gradient, every, weight, padding, stride, dilation, need=(need_x, need_weight))
        else:
            if need_weight:
                dweight = _weight_gradient(x, ctx.count, gradient, kernel, stride, dilation)
            if need_x and dilation > 1:
                dx = F.conv2d(gradient, weight.flip(2, 3), None, 1, padding, dilation, weight.shape[0])
            elif need_x:
                shape = (x.shape[0], weight.shape[0], *x.shape[2:])
                stand_in = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
                dx, _ = _native(gradient, stand_in, weight, padding, stride, need=(True, False))
        return None if dx is None else _sum_copies(dx, ctx.count), dweight, None, None, None, None


def _native(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    padding: list[int],
    stride: int = 1,
    dilation: int = 1,
    *,
    need: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    """PyTorch's own gradients of a depthwise convolution, to x and to the weight."""
    dx, dweight, _ = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        None,
        [stride] * 2,
        padding,
        [dilation] * 2,
        False,
        [0, 0],
        weight.shape[0],
        [*need, False],
    )
    return dx, dweight


def _weight_gradient(x: Tensor, count: int, gradient: Tensor, kernel: int, stride: int, dilation: int) -> Tensor:
    """dL/dweight of a depthwise convolution, (count * C, 1, k, k)."""
    padding = kernel // 2
    if dilation > 1:
        x, gradient = _side_by_side(x, dilation, padding), _side_by_side(gradient, dilation, padding)
    groups, height, width = gradient.shape[1:]
    reach = -(-padding // stride)  # taps of a phase lie -reach to reach pixels away
    stand_in = gradient.new_empty(groups, 1, 2 * reach + 1, COLUMNS)

    def taps(phase: Tensor, first: int) -> Tensor:
        read = _window(phase, count, height, first, width + COLUMNS - 1)
        _, found = _native(gradient, read, stand_in, [reach, 0], need=(False, True))
        assert found is not None
        return found

    phases = [x[:, :, row::stride, column::stride] for row, column in product(range(stride), repeat=2)]
    firsts = range(-reach, reach + 1, COLUMNS)
    every = torch.cat([torch.cat([taps(phase, first) for first in firsts], 3) for phase in phases], 1)
    inner = slice(stride * reach - padding, stride * reach + padding + 1)
    return F.pixel_shuffle(every, stride)[:, :, inner, inner]


def _window(x: Tensor, count: int, height: int, first: int, width: int) -> Tensor:
    """`height` rows of an image and `width` columns from `first` on, zeros beyond its edges, its channels repeated."""
    batch, channels, rows, columns = x.shape
    start = min(max(first, 0), columns)
    end = max(min(first + width, columns), start)
    window = x.new_empty(batch, height, width, count, channels)
    window[:, :rows, start - first : end - first] = x.permute(0, 2, 3, 1)[:, :, start:end, None]
    for beyond in (window[:, :, : start - first], window[:, :, end - first :], window[:, rows:]):
        if beyond.numel():
            beyond.zero_()
    return window.flatten(3).permute(0, 3, 1, 2)


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
