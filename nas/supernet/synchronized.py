"""Batch norm whose statistics are those of the whole batch, whichever rank holds its rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from nas.parallel import Ranks
from nas.supernet.normalized_sum import normalized_sum
from nas.supernet.precision import returned, wide


class SynchronizedBatchNorm(TorchFunctionMode):
    """A block in which batch statistics are taken over all ranks, in the forward and in the backward pass.

    Like autocast it holds for every module that runs in it: `F.batch_norm`, which all of PyTorch's layers call, and
    `normalized_sum`. Each rank holds equally many rows. Then every rank computes what one process with the whole batch
    would, and gradients with respect to weights and mixture, averaged over the ranks, are those of that process.
    """

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.ranks = ranks

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        more: Mapping[str, Any] | None = None,
    ) -> Any:
        more = more or {}
        if function is F.batch_norm:
            return _batch_norm(self.ranks, *arguments, **more)
        if function is normalized_sum:
            return normalized_sum(*arguments, **more, ranks=self.ranks)
        return function(*arguments, **more)


def _batch_norm(
    ranks: Ranks,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` of the ranks' rows together; x: (N, C, ...)."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    mean, variance = _statistics(ranks, x)
    if running_mean is not None and running_var is not None:
        rows = ranks.size * x.numel() // x.shape[1]
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((variance * rows / (rows - 1)).to(running_var.dtype), momentum)
    y: Tensor = _Normalized.apply(x, mean, (variance + eps).rsqrt(), ranks)
    if weight is not None:
        y = y * _along(weight, x)
    return y if bias is None else y + _along(bias, x)


def _statistics(ranks: Ranks, x: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, biased variance) of each channel over all ranks, (C,), at least float32.

    The variance is a difference of squares, in float64: there it loses nothing that float32 would show.
    """
    axes = _axes(x)
    variance, mean = torch.var_mean(wide(x).detach(), axes, correction=0)
    mean, square = ranks.mean([mean.double(), (variance.double() + mean.double().square())])
    kept = wide(x).dtype
    return mean.to(kept), (square - mean.square()).clamp_(min=0).to(kept)


class _Normalized(Function):
    """(x - mean) * scale. Mean and scale depend on all rows, which the backward pass knows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor, scale: Tensor, ranks: Ranks) -> Tensor:
        ctx.save_for_backward(x, mean, scale)
        ctx.ranks = ranks
        return returned((wide(x) - _along(mean, x)) * _along(scale, x), x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """dL/dx = r (g - mean(g) - y mean(g y)), means over the rows of all ranks."""
        x, mean, scale = ctx.saved_tensors
        y = (wide(x) - _along(mean, x)) * _along(scale, x)
        g = wide(gradient)
        axes = _axes(x)
        constant, slope = (_along(m, x) for m in ctx.ranks.mean([g.mean(axes), (g * y).mean(axes)]))
        return ((g - constant - y * slope) * _along(scale, x)).to(x.dtype), None, None, None


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]


def _along(channels: Tensor, x: Tensor) -> Tensor:
    """(C,) in a shape that goes with x: (N, C, ...)."""
    return channels.view(-1, *[1] * (x.dim() - 2))
