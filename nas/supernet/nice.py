"""Uniform quantization with noise."""

import torch
from torch import Tensor

from nas.supernet.precision import wide
from nas.supernet.quantizer import Operand, Quantizer
from nas.supernet.tally import Tally

NOISY_SHARE = 0.05
"""The share of weights that get noise in a training step."""
MOMENTUM = 0.1
"""How far the statistics of an input move in a training step."""


class NICE(Quantizer):
    """Uniform levels between clamps that follow the tensor's statistics (Baskin et al., 2018; Zur et al., 2019).

    y = round(clip(x, -c, c) / s) * s, s = c / M, with dy/dx = 1 between the clamps and 0 outside.

    weight: c = |mean| + 3.45 std, M = 2^(b-1) - 1, so 2^b - 1 levels. In training 5 % of the weights, drawn anew from
    the global random state, are not rounded but get uniform noise of half a step up or down.
    input: c = |mean| + 3 std, M = 2^b - 1, from 0 on. One that has numbers below zero, which the papers do not have,
    gets levels on both sides like a weight, from 2 bits on.

    The statistics are buffers: in training those of a weight become the present ones, those of an input move by 0.1
    towards them; an input starts with those of standard normal numbers. They are of the whole tensor, so a weight that
    is narrowed later keeps its levels until it is trained. c is a constant of the backward pass.

    Raises:
        ValueError: one bit for numbers of both signs: the only level would be 0.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, bits: int, operand: Operand) -> None:
        super().__init__(bits, operand)
        self.register_buffer("mean", torch.tensor(torch.nan if operand == "weight" else 0.0))
        self.register_buffer("deviation", torch.tensor(1.0))

    def integers(self, *, signed: bool) -> tuple[int, int]:
        if not signed:
            return 0, 2**self.bits - 1
        if self.bits == 1:
            raise ValueError(
                f"NICE has one level, 0, at 1 bit for the numbers of both signs of this {self.operand}: "
                "give 2 bits or more, or use LSQ"
            )
        high = 2 ** (self.bits - 1) - 1
        return -high, high

    def forward(self, x: Tensor) -> Tensor:
        v = wide(x)
        if self.training:
            self._move(v)
        step = self.step_size()
        clipped = v.clamp(*(bound * step for bound in self.bounds))
        with torch.no_grad():
            y = (clipped / step).round_().mul_(step)
            if self.training and self.operand == "weight":
                noisy = clipped + (torch.rand_like(v) - 0.5) * step
                y = torch.where(torch.rand_like(v) < NOISY_SHARE, noisy, y)
        return (y + (clipped - clipped.detach())).to(x.dtype)  # exactly y, with the derivative of the clamp

    def step_size(self) -> Tensor:
        clamp = self.mean.abs() + (3.45 if self.operand == "weight" else 3) * self.deviation
        step: Tensor = clamp.clamp_min(torch.finfo(clamp.dtype).tiny) / self.bounds[1]
        return step

    @torch.no_grad()
    def start(self, seen: Tally) -> None:
        self.set_signed(seen)
        self.mean.copy_(seen.mean)
        self.deviation.copy_(seen.deviation)

    @torch.no_grad()
    def _move(self, x: Tensor) -> None:
        deviation, mean = torch.std_mean(x, correction=0)
        for statistic, present in ((self.mean, mean), (self.deviation, deviation)):
            if self.operand == "weight":
                statistic.copy_(present)
            else:
                statistic.lerp_(present.to(statistic.dtype), MOMENTUM)
