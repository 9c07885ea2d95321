"""Networks to export: small ones, with quantized layers of every kind."""

import torch
from torch import Tensor, nn

from nas.supernet import LSQ, NICE, QuantizedConv2d, QuantizedLayer, QuantizedLinear, Quantizer, calibrate

IMAGE = (3, 9, 7)
BITS = {
    "stem": (32, 8),
    "depthwise": (8, 4),
    "pointwise": (4, 3),
    "ternary": (2, 5),
    "binary": (1, 1),
    "wide": (12, 11),
    "wider": (20, 19),
    "head": (5, 32),
}
"""Bits of weight and input of the layers of QuantizedNetwork."""


class QuantizedNetwork(nn.Module):
    """Convolutions and linear layers with the bits of BITS; the inputs of many lie outside the range of their grid."""

    def __init__(self, quantizer: type[LSQ] | type[NICE] = LSQ) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stem: nn.Module = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect", bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise: nn.Module = nn.Conv2d(8, 8, 3, groups=8, stride=2, padding=1)
        self.pointwise: nn.Module = nn.Conv2d(8, 16, 1)
        self.ternary: nn.Module = nn.Conv2d(16, 12, 3, padding=1)
        self.binary: nn.Module = nn.Conv2d(12, 12, 3)
        self.wide: nn.Module = nn.Linear(72, 20)
        self.wider: nn.Module = nn.Linear(20, 20)
        self.head: nn.Module = nn.Linear(20, 10)
        for name in BITS:
            nn.init.kaiming_normal_(self.get_submodule(name).weight)
        nn.init.normal_(self.norm.running_mean)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)
        for name, (weight_bits, input_bits) in BITS.items():
            if quantizer is NICE:
                weight_bits, input_bits = max(weight_bits, 2), max(input_bits, 2)
            self._quantize(name, quantizer, weight_bits, input_bits)
        self.eval()
        with torch.no_grad():
            calibrate(self, lambda: self(torch.randn(8, *IMAGE)))
            for part in self.modules():
                if isinstance(part, Quantizer) and part.operand == "input":
                    (part.step if isinstance(part, LSQ) else part.deviation).mul_(0.5)

    def _quantize(self, name: str, quantizer: type[LSQ] | type[NICE], weight_bits: int, input_bits: int) -> None:
        on_weight = quantizer(weight_bits, "weight") if weight_bits < 32 else None
        on_input = quantizer(input_bits, "input") if input_bits < 32 else None
        layer = getattr(self, name)
        kind = QuantizedConv2d if isinstance(layer, nn.Conv2d) else QuantizedLinear
        setattr(self, name, kind.of(layer, on_input=on_input, on_weight=on_weight))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        x = self.ternary(self.pointwise(self.depthwise(x)).sin())
        x = self.binary(x).flatten(1).relu()
        return self.head(self.wider(self.wide(x)).relu())


def quantized_layer(layer: nn.Module, **bits: int) -> QuantizedLayer:
    """A layer with LSQ for those of its `on_input` and `on_weight` whose bits are given."""
    kind = QuantizedConv2d if isinstance(layer, nn.Conv2d) else QuantizedLinear
    made = {place: LSQ(number, place.removeprefix("on_")) for place, number in bits.items()}
    return kind.of(layer, **made)


class Plain(nn.Sequential):
    """A network without quantizers, whose dropout shows that it was not in evaluation mode."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.9), nn.Linear(140, 10)
        )
