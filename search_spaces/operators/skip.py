"""Operators that pass their input on, halve it or drop it."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.supernet import Fan, Separate, Shared, batch_norm, every_second, image, rows
from search_spaces.operators.normalization import Normalization, is_plain


class Zero(nn.Module):
    """The `none` operator: zeros of the output's shape."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class Skip(nn.Identity):
    """The identity."""

    family = None

    def batched(self, fan: Fan, parameters: Mapping[str, Tensor]) -> Shared:
        """The sources."""
        return Shared(fan.x)


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions with stride 2, the second one on the image shifted by a pixel, concatenated, norm.

    Odd sizes round up: the shifted image gets a row and a column of zeros at its far end (the authors' code fails).
    The convolutions have no stride themselves, but see every second pixel only: on CPUs with AVX2 and without AVX-512,
    PyTorch 2.13 writes past the gradient of a strided 1x1 convolution of fewer than 8 channels (oneDNN).

    Raises:
        ValueError: fewer than two output channels, one for each convolution.
    """

    family = None

    def __init__(self, in_channels: int, out_channels: int, norm: Normalization) -> None:
        super().__init__()
        if out_channels < 2:
            raise ValueError(f"a factorized reduction to {out_channels} channel has none for its second half; give 2")
        shifted = out_channels // 2
        self.straight = nn.Conv2d(in_channels, out_channels - shifted, 1, bias=False)
        self.shifted = nn.Conv2d(in_channels, shifted, 1, bias=False)
        self.norm = norm(out_channels)

    @property
    def intact(self) -> bool:
        """Whether the norm has neither parameters nor memory."""
        return is_plain(self.norm)

    def forward(self, x: Tensor) -> Tensor:
        straight, shifted = _halves(torch.relu(x))
        return self.norm(torch.cat([self.straight(straight), self.shifted(shifted)], dim=1))

    def batched(self, fan: Fan, parameters: Mapping[str, Tensor]) -> Separate:
        """Both convolutions of a source for all targets at once, as more output channels."""
        sources, targets = fan.sources, fan.targets

        def project(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
            by_source = weight.view(targets, sources, *weight.shape[1:]).transpose(0, 1).flatten(0, 2)
            y = F.conv2d(x, by_source, groups=sources)
            return y, rows(y).view(-1, sources, targets, weight.shape[1]).transpose(1, 2)

        straight, shifted = _halves(fan.relu)
        y, first = project(straight, parameters["straight.weight"])
        _, second = project(shifted, parameters["shifted.weight"])
        pixels = torch.cat([first, second], dim=3)
        return Separate(batch_norm(image(pixels.flatten(1), len(y), *y.shape[2:]), self.norm.eps))


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every second pixel, from the first one and from the second one on."""
    height, width = x.shape[-2:]
    even = F.pad(x, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else x
    return every_second(x), every_second(even, 1)


def skip_connect(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """The identity, or a factorized reduction where the image is halved."""
    return Skip() if stride == 1 else FactorizedReduce(channels, channels, norm)
