"""Convolutional candidate operators of the DARTS family (Liu et al., 2019); no convolution has a bias."""

from torch import nn

from search_spaces.operators.normalization import Normalization


def relu_conv_norm(in_channels: int, out_channels: int, norm: Normalization) -> nn.Module:
    """ReLU, 1x1 convolution, norm: what a cell applies to its inputs."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(in_channels, out_channels, 1, bias=False), norm(out_channels))


def separable_conv(kernel: int, channels: int, stride: int, norm: Normalization) -> nn.Module:
    """Twice: ReLU, depthwise convolution, pointwise convolution, norm; the stride is in the first."""
    first = _depthwise_pointwise(kernel, channels, stride, dilation=1, norm=norm)
    return nn.Sequential(*first, *_depthwise_pointwise(kernel, channels, 1, dilation=1, norm=norm))


def dilated_conv(kernel: int, channels: int, stride: int, norm: Normalization) -> nn.Module:
    """ReLU, depthwise convolution with dilation 2, pointwise convolution, norm."""
    return nn.Sequential(*_depthwise_pointwise(kernel, channels, stride, dilation=2, norm=norm))


def conv_7x1_1x7(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """ReLU, a dense 1x7 and a dense 7x1 convolution, each with the stride along its kernel, norm (NASNet)."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, (1, 7), stride=(1, stride), padding=(0, 3), bias=False),
        nn.Conv2d(channels, channels, (7, 1), stride=(stride, 1), padding=(3, 0), bias=False),
        norm(channels),
    )


def _depthwise_pointwise(
    kernel: int, channels: int, stride: int, *, dilation: int, norm: Normalization
) -> list[nn.Module]:
    padding = dilation * (kernel - 1) // 2
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding=padding, dilation=dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        norm(channels),
    ]
