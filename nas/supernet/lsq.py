"""Learned step sizes."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from nas.supernet.precision import returned, wide
from nas.supernet.quantizer import Operand, Quantizer
from nas.supernet.tally import Tally

_NORMAL_MAGNITUDE = math.sqrt(2 / math.pi)  # <|x|> of standard normal numbers


Self = TypeVar("Self", bound="LSQ")


class LSQ(Quantizer):
    """Learned step size quantization (Esser et al., 2020): y = s * round(clip(x / s, -Qn, Qp)), s > 0 learned.

    Signed Qn = 2^(b-1) and Qp = 2^(b-1) - 1, unsigned Qn = 0 and Qp = 2^b - 1. One signed bit would leave the levels -1
    and 0; it has -1 and 1, as in binary weight networks (Rastegari et al., 2016), so Qn = Qp = 1 and 0 goes to -1.

    dy/dx = 1 where -Qn < x / s < Qp, else 0
    dy/ds = -x / s + round(x / s) there, -Qn below and Qp above, times 1 / sqrt(N Qp)

    with N numbers of a weight, or of one image of an input. It starts at s = 2 <|x|> / sqrt(Qp), one signed bit at
    <|x|>, the best step for given signs; an input as if its numbers were standard normal. The parameter `step` may
    have any sign: s = |step|, at least the smallest normal number. It is computed in float32 or wider, so numbers of
    more than 24 bits are as exact as float32 is. A gradient of the gradient is refused.
    """

    def __init__(self, bits: int, operand: Operand) -> None:
        super().__init__(bits, operand)
        self.step = nn.Parameter(torch.tensor(torch.nan))
        if operand == "input":
            self.step.data.copy_(self._first_step(torch.tensor(_NORMAL_MAGNITUDE)))

    def integers(self, *, signed: bool) -> tuple[int, int]:
        if not signed:
            return 0, 2**self.bits - 1
        half = 2 ** (self.bits - 1)
        return (-half, half - 1) if self.bits > 1 else (-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _LSQ.apply(x, self.step[None], None, self.bounds[None], (self.bits,), self._count(x))
        return y

    def step_size(self) -> Tensor:
        return _positive(self.step.detach())

    @torch.no_grad()
    def start(self, seen: Tally) -> None:
        self.set_signed(seen)
        magnitude = seen.magnitude.to(self.step.device)
        self.step.copy_(self._first_step(torch.where(magnitude > 0, magnitude, _NORMAL_MAGNITUDE)))

    @classmethod
    def weighted_sum(cls: type[Self], quantizers: Sequence[Self], x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """sum_k weights[k] * quantizers[k](x). Kept for the backward pass is x alone."""
        steps = torch.stack([quantizer.step for quantizer in quantizers])
        bounds = torch.stack([quantizer.bounds for quantizer in quantizers])
        bits = tuple(quantizer.bits for quantizer in quantizers)
        y: Tensor = _LSQ.apply(x, steps, torch.stack(list(weights)), bounds, bits, quantizers[0]._count(x))
        return y

    def _first_step(self, magnitude: Tensor) -> Tensor:
        low, high = self.bounds.unbind()
        binary = (low < 0) & (self.bits == 1)
        return torch.where(binary, magnitude, 2 * magnitude / high.double().sqrt())

    def _count(self, x: Tensor) -> int:
        """N of the gradient's scale."""
        return x.numel() if self.operand == "weight" else x[:1].numel()


class _LSQ(Function):
    """sum_k w_k Q_k(x), without weights Q_0(x); steps: (K,), bounds: (K, 2), and one number of bits for each."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, steps: Tensor, weights: Tensor | None, bounds: Tensor, bits: tuple[int, ...], count: int
    ) -> Tensor:
        ctx.save_for_backward(x, steps, bounds, *([] if weights is None else [weights]))
        ctx.bits, ctx.count = bits, count
        v = wide(x)
        sizes = _positive(steps).to(v.dtype)
        factors = sizes if weights is None else sizes * weights.to(v.dtype)
        y: Tensor | None = None
        for size, factor, bound, bit in zip(sizes, factors, bounds, bits, strict=True):
            level = _nearest(_clipped(v, size, bound), bound, bit)
            y = level.mul_(factor) if y is None else y.addcmul_(level, factor)
        assert y is not None
        return returned(y, x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, steps, bounds, *rest = ctx.saved_tensors
        v, g = wide(x), wide(gradient)
        sizes = _positive(steps).to(v.dtype)
        weights = rest[0].to(v.dtype) if rest else torch.ones_like(sizes)
        dx: Tensor | None = None
        along_levels, along_errors = [], []
        for size, weight, bound, bit in zip(sizes, weights, bounds, ctx.bits, strict=True):
            clipped = _clipped(v, size, bound)
            inside = (clipped > bound[0]) & (clipped < bound[1])
            level = _nearest(clipped, bound, bit)
            if ctx.needs_input_grad[0]:
                passed = g * inside
                dx = passed.mul_(weight) if dx is None else dx.addcmul_(passed, weight)
            along_levels.append((g * level).sum())
            along_errors.append((g * level.sub_(clipped.mul_(inside))).sum())
        scales = torch.where(steps < 0, -1, 1) / (ctx.count * bounds[:, 1]).to(v.dtype).sqrt()
        dsteps = (torch.stack(along_errors) * weights * scales).to(steps.dtype)
        dweights = (torch.stack(along_levels) * sizes).to(rest[0].dtype) if rest else None
        return None if dx is None else dx.to(x.dtype), dsteps, dweights, None, None, None


def _clipped(x: Tensor, size: Tensor, bound: Tensor) -> Tensor:
    """clip(x / s, -Qn, Qp), a tensor of its own."""
    return (x / size).clamp_(bound[0], bound[1])


def _nearest(clipped: Tensor, bound: Tensor, bits: int) -> Tensor:
    """The nearest level, a tensor of its own: whole numbers, and for one signed bit -1 and 1."""
    if bits > 1:
        return clipped.round()
    gap = 1 - bound[0]
    return ((clipped - bound[0]) / gap).round_().mul_(gap).add_(bound[0])


def _positive(step: Tensor) -> Tensor:
    return step.abs().clamp_min(torch.finfo(step.dtype).tiny)
