"""Small residual networks of few bits after a few steps of training, and files of them that need no writing."""

import copy
from collections.abc import Callable
from contextlib import ExitStack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.exporting.format import Rounding, Run
from nas.exporting.quantized import FakeQuantize, Signs, portable
from nas.supernet import LSQ, NICE, QuantizedConv2d, QuantizedLinear, calibrate

IMAGE = (3, 8, 8)
CHANNELS = 8


class Block(nn.Module):
    """relu(norm(conv2(relu(norm(conv1(x))))) + shortcut(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1: nn.Module = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(CHANNELS)
        self.relu1 = nn.ReLU()
        self.conv2: nn.Module = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(CHANNELS)
        self.shortcut: nn.Module = nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        inside = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(inside)) + self.shortcut(x))


def barely_trained(seed: int, *, kind: type[LSQ] | type[NICE] = LSQ, bits: int = 2, blocks: int = 3) -> nn.Sequential:
    """Three steps of SGD on noise, in evaluation mode; all layers but the first have these bits."""
    torch.manual_seed(seed)
    stem = nn.Conv2d(IMAGE[0], CHANNELS, 3, padding=1)
    head = nn.Linear(CHANNELS, 10)
    body = [Block() for _ in range(blocks)]
    network = nn.Sequential(stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    for path, layer in list(network.named_modules())[1:]:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            made = QuantizedLinear if isinstance(layer, nn.Linear) else QuantizedConv2d
            width = 8 if layer is stem else bits
            new = made.of(layer, on_input=kind(width, "input"), on_weight=kind(width, "weight"))
            network.set_submodule(path, new)
    with torch.no_grad():
        calibrate(network, lambda: network(torch.randn(16, *IMAGE)))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(network(torch.randn(16, *IMAGE)), torch.randint(10, (16,))).backward()
        optimizer.step()
    return network.eval()


def as_files(
    network: nn.Module, change: Callable[[nn.Module], object] | None = None, dtype: torch.dtype = torch.float32
) -> list[Callable[[Tensor], Run]]:
    """What a file has in it, run as it is, without and with what is rounded: `portable(network)`, then changed.

    In another dtype its sums round otherwise.
    """
    inside = portable(copy.deepcopy(network))
    if change:
        change(inside)
    inside.to(dtype)
    return [lambda images, told=told: _run(inside, images.to(dtype), told) for told in (False, True)]


def _run(inside: nn.Module, images: Tensor, told: bool) -> Run:
    roundings = []

    def keep(module: FakeQuantize | Signs, inputs: tuple[Tensor], values: Tensor) -> None:
        offset = module.offset if isinstance(module, Signs) else 0.0
        codes = ((values - offset) / module.step).round().int()
        roundings.append(Rounding(codes, (inputs[0] - offset).float() if told else None))

    with ExitStack() as stack:
        for part in inside.modules():
            if isinstance(part, FakeQuantize | Signs):
                stack.callback(part.register_forward_hook(keep).remove)
        logits = inside(images).float()
    return Run(logits, roundings[::-1])
