"""Depthwise convolutions of many edges at once, with a backward pass that is fast on a CPU too."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from nas.supernet.channels_last import every_second
from nas.supernet.cpu import splits
from nas.supernet.precision import autocast_dtype, without_autocast


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
        return Copies(every_second(self.x).contiguous(memory_format=torch.channels_last), self.count)


def depthwise_conv2d(source: Copies, weight: Tensor, *, stride: int = 1, dilation: int = 1) -> Tensor:
    """Each channel of each copy convolved with its own kernel, padded so that stride 1 keeps the image size.

    `weight` has shape (count * C, 1, k, k) with k odd; the output (N, count * C, H', W') is channels-last. It equals
    `torch.nn.functional.conv2d` on the repeated input; the backward pass is another on a CPU, where PyTorch's takes
    5 to 12 times as long as the forward pass for kernels above 3x3 and for dilated ones:

    - the gradient of the input is a convolution with the kernel turned around;
    - a stride that equals the dilation reads every second pixel only, so both are dropped with the others;
    - the gradient of the kernel is taken three columns at a time, of views in which they are neighbours;
    - a stride divides the image into phases, each of which meets taps of its own, without a stride;
    - the rows that a dilated kernel sees together become images of their own, without dilation.
    """
    if (dtype := autocast_dtype(weight.device)) is not None:
        weight = weight.to(dtype)
        source = source if source.x.dtype == dtype else Copies(source.x.to(dtype), source.count)
    if stride == dilation == 2:
        source, stride, dilation = source.every_second(), 1, 1
    dilation = dilation if weight.shape[-1] > 1 else 1
    result: Tensor = _Depthwise.apply(source.x, weight, source.repeated, source.count, stride, dilation)
    return result


class _Depthwise(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, repeated: Tensor, count: int, stride: int, dilation: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight, *([] if splits(x.device) else [repeated]))
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
        if not splits(x.device) or (dilation == 1 and kernel <= 3) or (dilation > 1 and stride > 1):
            if repeated:
                (every,) = repeated
            else:
                every = _repeat(x, ctx.count) if need_weight else _stand_in(x, ctx.count)
            dx, dweight = _native(gradient, every, weight, padding, stride, dilation, need=(need_x, need_weight))
        else:
            if need_weight:
                dweight = _weight_gradient(x, ctx.count, gradient, kernel, stride, dilation)
            if need_x and stride == 1:
                dx = F.conv2d(gradient, weight.flip(2, 3), None, 1, padding, dilation, weight.shape[0])
            elif need_x:
                dx, _ = _native(gradient, _stand_in(x, ctx.count), weight, padding, stride, need=(True, False))
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
    reach = -(-padding // stride)  # taps of a phase lie -reach to reach pixels away
    rows, columns = dilation, dilation * math.lcm(*list(range(1, reach + 1)))  # a list: torch.compile misreads a range
    height = rows * -(-max(gradient.shape[2], rows * (2 * reach + 1)) // rows)
    width = columns * -(-gradient.shape[3] // columns)
    gradient = _laid_out(gradient, 1, height, width, dilation)
    phases = [x[:, :, row::stride, column::stride] for row in range(stride) for column in range(stride)]
    every = [_taps(_laid_out(phase, count, height, width, dilation), gradient, reach, dilation) for phase in phases]
    inner = slice(stride * reach - padding, stride * reach + padding + 1)
    return F.pixel_shuffle(torch.cat(every, 1), stride)[:, :, inner, inner]


def _laid_out(x: Tensor, count: int, height: int, width: int, dilation: int) -> Tensor:
    """Zeros up to the size; the rows that a dilated kernel sees together are an image of their own.

    A kernel higher than its image is slow, so the size is at least its own.
    """
    if list(x.shape[2:]) != [height, width]:
        x = F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]))
    return _repeat(x, count, dilation)


def _taps(x: Tensor, gradient: Tensor, reach: int, dilation: int) -> Tensor:
    """dL/dweight without a stride, (groups, 1, 2 * reach + 1, 2 * reach + 1): three columns at a time.

    The columns -n, 0 and n of a kernel are next to each other where every n-th pixel is: in a view of the image.
    """
    size = 2 * reach + 1
    parts = []
    for apart in range(dilation, dilation * reach + 1, dilation):
        far, read = _every(gradient, apart), _every(x, apart)
        stand_in = gradient.new_empty(far.shape[1], 1, size, 3)
        _, part = _native(far, read, stand_in, [reach, 1], need=(False, True))
        assert part is not None
        parts.append(part.view(apart, -1, 1, size, 3).sum(0))
    left, right = [part[..., :1] for part in reversed(parts)], [part[..., 2:] for part in parts]
    return torch.cat([*left, parts[0][..., 1:2], *right], -1)


def _every(x: Tensor, apart: int) -> Tensor:
    """Pixels of a row that are `apart` as neighbours: (N, C, H, W) as (N, apart * C, H, W / apart)."""
    batch, _, height, width = x.shape
    return x.permute(0, 2, 3, 1).reshape(batch, height, width // apart, -1).permute(0, 3, 1, 2)


def _repeat(x: Tensor, count: int, apart: int = 1) -> Tensor:
    """Copies of the channels, one after the other; rows that are `apart` as images of their own, in one copy."""
    if count == apart == 1:
        return x
    batch, channels, _, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(batch, -1, apart, width, 1, channels).transpose(1, 2)
    copies = pixels.expand(-1, -1, -1, -1, count, -1)
    return copies.reshape(batch * apart, -1, width, count * channels).permute(0, 3, 1, 2)


def _stand_in(x: Tensor, count: int) -> Tensor:
    """A tensor like the copies, of which a gradient to them needs the shape alone."""
    batch, channels, *size = x.shape
    shape = (batch, count * channels, *size)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _sum_copies(x: Tensor, count: int) -> Tensor:
    if count == 1:
        return x
    batch, channels, height, width = x.shape
    copies = x.permute(0, 2, 3, 1).reshape(batch, height, width, count, channels // count)
    return copies.sum(3).permute(0, 3, 1, 2)
