"""The residual networks for CIFAR."""

import torch.nn.functional as F
from torch import Tensor, nn

DEEPEST = 1202
"""Layers of the deepest in the paper."""


class CifarResNet(nn.Module):
    """A residual network of `depth` = 6n + 2 layers (He et al., 2016, section 4.2).

    A 3x3 convolution, three stages of n blocks with 1, 2 and 4 times `channels` channels, mean over the image, a linear
    layer. Deviation: where the size changes the shortcut is a 1x1 convolution (their option B); the paper pads with
    zeros. From (N, in_channels, H, W) to logits (N, num_classes).

    Raises:
        ValueError: a depth that is not 6n + 2, or no channels.
    """

    def __init__(self, *, depth: int, num_classes: int = 10, in_channels: int = 3, channels: int = 16) -> None:
        super().__init__()
        if not 8 <= depth <= DEEPEST or depth % 6 != 2:
            raise ValueError(
                f"a network for CIFAR has 6n + 2 layers, up to {DEEPEST}; depth is {depth}: give 20, 32, 44, 56, …"
            )
        if channels < 1:
            raise ValueError(f"channels is {channels}; give at least 1")
        widths = [channels * 2**stage for stage in range(3)]
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.stages = nn.Sequential(
            *(
                _stage(before, width, blocks=(depth - 2) // 6, stride=1 + (stage > 0))
                for stage, (before, width) in enumerate(zip([channels, *widths], widths, strict=False))
            )
        )
        self.classifier = nn.Linear(widths[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)))
        return self.classifier(self.stages(x).mean(dim=(2, 3)))


class _Block(nn.Module):
    """relu(x + f(x)), f two 3x3 convolutions with batch norm."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != channels:
            projection = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def _stage(in_channels: int, channels: int, *, blocks: int, stride: int) -> nn.Sequential:
    first = _Block(in_channels, channels, stride)
    return nn.Sequential(first, *(_Block(channels, channels, 1) for _ in range(blocks - 1)))
