"""Networks to export: small ones, with quantized layers of every kind."""

import torch
from torch import Tensor, nn

IMAGE = (3, 9, 7)
BITS = {
    "stem": (32, 8),
    "depthwise": (8, 4),
    "pointwise": (4, 3),
    "ternary": (2, 8),
    "wide": (12, 11),
    "wider": (20, 19),
    "head": (5, 32),
}
"""Bits of weight and input of the layers of QuantizedNetwork."""


class Rounding(nn.Module):
    """v -> step * clamp(round(v / step), *levels)."""

    def __init__(self, step: Tensor, levels: tuple[int, int], bits: int) -> None:
        super().__init__()
        self.step = nn.Parameter(step)
        self.levels = levels
        self.bits = bits

    def step_size(self) -> Tensor:
        return self.step

    def forward(self, v: Tensor) -> Tensor:
        return self.step * (v / self.step).round().clamp(*self.levels)


class _Quantized(nn.Module):
    """What both layers add: modules for input and weight, which are the identity at 32 bits."""

    weight: nn.Parameter

    def quantize(self, weight_bits: int, input_bits: int, *, signed: bool) -> None:
        self.weight_bits, self.input_bits = weight_bits, input_bits
        half = 2 ** (weight_bits - 1)
        weight_step = self.weight.detach().abs().max() / half
        self.on_weight = Rounding(weight_step, (-half, half - 1), weight_bits) if weight_bits < 32 else nn.Identity()
        levels = (-(2 ** (input_bits - 1)), 2 ** (input_bits - 1) - 1) if signed else (0, 2**input_bits - 1)
        # the range is smaller than the values, so that the ends count
        step = torch.tensor(1.5) / levels[1]
        self.on_input = Rounding(step, levels, input_bits) if input_bits < 32 else nn.Identity()


class QuantizedConv2d(nn.Conv2d, _Quantized):
    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(self.on_input(input), self.on_weight(self.weight), self.bias)


class QuantizedLinear(nn.Linear, _Quantized):
    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(self.on_input(input), self.on_weight(self.weight), self.bias)


class QuantizedNetwork(nn.Module):
    """Convolutions and linear layers with the bits of BITS, or others by name."""

    def __init__(self, **others: tuple[int, int]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.stem = QuantizedConv2d(3, 8, 3, padding=1, padding_mode="reflect", bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = QuantizedConv2d(8, 8, 3, groups=8, stride=2, padding=1)
        self.pointwise = QuantizedConv2d(8, 16, 1)
        self.ternary = QuantizedConv2d(16, 12, 3, padding=1)
        self.wide = QuantizedLinear(12, 20)
        self.wider = QuantizedLinear(20, 20)
        self.head = QuantizedLinear(20, 10)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=generator)
        for name, (weight_bits, input_bits) in {**BITS, **others}.items():
            self.get_submodule(name).quantize(weight_bits, input_bits, signed=name in ("stem", "ternary"))
        self.norm.running_mean.normal_(generator=generator)
        self.norm.running_var.uniform_(0.5, 2, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        x = self.ternary(self.pointwise(self.depthwise(x)).sin())
        x = x.mean(dim=(2, 3))
        x = self.wide(x.abs() * 2).relu()
        return self.head(self.wider(x).relu())


class Plain(nn.Sequential):
    """A network without quantizers, whose dropout shows that it was not in evaluation mode."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.9), nn.Linear(140, 10)
        )
