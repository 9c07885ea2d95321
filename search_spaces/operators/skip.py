"""Operators that pass their input on, halve it or drop it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.operators.normalization import Normalization


class Zero(nn.Module):
    """The `none` operator: zeros of the output's shape."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions with stride 2, the second one on the image shifted by a pixel, concatenated, norm.

    Odd sizes round up: the shifted image gets a row and a column of zeros at its far end (the authors' code fails).

    Raises:
        ValueError: fewer than two output channels, one for each convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Normalization) -> None:
        super().__init__()
        if out_channels < 2:
            raise ValueError(f"a factorized reduction to {out_channels} channel has none for its second half; give 2")
        shifted = out_channels // 2
        self.straight = nn.Conv2d(in_channels, out_channels - shifted, 1, stride=2, bias=False)
        self.shifted = nn.Conv2d(in_channels, shifted, 1, stride=2, bias=False)
        self.norm = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x)
        height, width = x.shape[-2:]
        shifted = F.pad(x, (0, width % 2, 0, height % 2))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.straight(x), self.shifted(shifted)], dim=1))


def skip_connect(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """The identity, or a factorized reduction where the image is halved."""
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, norm)
