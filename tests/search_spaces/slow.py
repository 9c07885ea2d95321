"""Slow formulations of what operators compute, without torch.nn: sums over taps and windows."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def convolution(
    x: Tensor,
    weight: Tensor,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """y[n, o, r, c] = sum_{u,v,i} weight[o, i, u, v] * x[n, i, r*s + u*d - p, c*s + v*d - p], x = 0 outside."""
    images, channels, height, width = x.shape
    outputs, _, rows, columns = weight.shape
    padded = x.new_zeros(images, channels, height + 2 * padding[0], width + 2 * padding[1])
    padded[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width] = x
    out_height = (padded.shape[2] - dilation * (rows - 1) - 1) // stride[0] + 1
    out_width = (padded.shape[3] - dilation * (columns - 1) - 1) // stride[1] + 1
    y = x.new_zeros(images, outputs, out_height, out_width)
    for u in range(rows):
        for v in range(columns):
            window = padded[:, :, u * dilation :, v * dilation :][:, :, :: stride[0], :: stride[1]]
            window = window[:, :, :out_height, :out_width]
            for output in range(outputs):
                first = output * groups // outputs * (channels // groups)
                for i in range(channels // groups):
                    y[:, output] += weight[output, i, u, v] * window[:, first + i]
    return y


def batch_norm(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """(x - mean) / sqrt(variance + 1e-5) over images and places, then the layer's scale and shift if it has them."""
    y = torch.empty_like(x)
    for channel in range(x.shape[1]):
        values = x[:, channel]
        mean = values.sum() / values.numel()
        variance = ((values - mean) ** 2).sum() / values.numel()
        y[:, channel] = (values - mean) / (variance + 1e-5).sqrt()
        if norm.affine:
            y[:, channel] = y[:, channel] * norm.weight[channel] + norm.bias[channel]
    return y


def pooling(x: Tensor, stride: int, kind: str) -> Tensor:
    """The maximum or the mean of what lies within one pixel of every stride-th pixel."""
    height, width = x.shape[2:]
    rows = []
    for r in range(0, height, stride):
        row = []
        for c in range(0, width, stride):
            window = x[:, :, max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].flatten(2)
            row.append(window.max(dim=2).values if kind == "max" else window.sum(dim=2) / window.shape[2])
        rows.append(torch.stack(row, dim=-1))
    return torch.stack(rows, dim=-2)


def weights_of(module: nn.Module) -> list[Tensor]:
    """The weights of a module's convolutions, in order; a bias would be a surprise."""
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    assert all(part.bias is None for part in convolutions)
    return [part.weight for part in convolutions]


def norms_of(module: nn.Module) -> Sequence[nn.BatchNorm2d]:
    """The norms of a module, in order."""
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
