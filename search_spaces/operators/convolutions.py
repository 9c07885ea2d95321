"""Convolutional candidate operators of the DARTS family (Liu et al., 2019); no convolution has a bias."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from nas.supernet import Copies, Fan, Normalized, batch_norm, depthwise_conv2d
from search_spaces.operators.normalization import Normalization, is_plain


def relu_conv_norm(in_channels: int, out_channels: int, norm: Normalization) -> nn.Module:
    """ReLU, 1x1 convolution, norm: what a cell applies to its inputs."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(in_channels, out_channels, 1, bias=False), norm(out_channels))


class DepthwiseSeparable(nn.Sequential):
    """A few times: ReLU, depthwise convolution, pointwise convolution, norm; the stride is in the first."""

    def __init__(
        self, kernel: int, channels: int, stride: int, norm: Normalization, *, dilation: int = 1, repeats: int = 1
    ) -> None:
        padding = dilation * (kernel - 1) // 2
        layers: list[nn.Module] = []
        for s in [stride] + [1] * (repeats - 1):
            layers += [
                nn.ReLU(),
                nn.Conv2d(channels, channels, kernel, s, padding, dilation, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=False),
                normalized := norm(channels),
            ]
        super().__init__(*layers)
        self.eps = normalized.eps
        self.family = (type(self), repeats, stride, dilation, self.eps)
        self.stride = stride
        self.dilation = dilation
        self._layers = [type(layer) for layer in layers]

    @property
    def intact(self) -> bool:
        """Whether the layers are those it was built with, and the norms have neither parameters nor memory."""
        norms = [layer for layer in self if isinstance(layer, nn.BatchNorm2d)]
        plain = all(is_plain(norm) and norm.eps == self.eps for norm in norms)
        return plain and [type(layer) for layer in self] == self._layers

    def batched(self, fan: Fan, parameters: Mapping[str, Tensor]) -> Normalized:
        """All layers but the last pointwise one, which the sum over edges takes up."""
        source, stride = fan.relu_copies, self.stride
        for last in range(3, len(self), 4):
            depthwise, pointwise = (parameters[f"{last - back}.weight"].flatten(0, 1) for back in (2, 1))
            features = depthwise_conv2d(source, depthwise, stride=stride, dilation=self.dilation)
            if last == len(self) - 1:
                break
            edges = fan.sources * fan.targets
            hidden = batch_norm(F.conv2d(features, pointwise, groups=edges), self.eps, relu=True)
            source, stride = Copies(hidden), 1
        return Normalized(features, parameters[f"{last - 1}.weight"].flatten(2), self.eps)


def separable_conv(kernel: int, channels: int, stride: int, norm: Normalization) -> nn.Module:
    """Twice: ReLU, depthwise convolution, pointwise convolution, norm; the stride is in the first."""
    return DepthwiseSeparable(kernel, channels, stride, norm, repeats=2)


def dilated_conv(kernel: int, channels: int, stride: int, norm: Normalization) -> nn.Module:
    """ReLU, depthwise convolution with dilation 2, pointwise convolution, norm."""
    return DepthwiseSeparable(kernel, channels, stride, norm, dilation=2)


def conv_7x1_1x7(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """ReLU, a dense 1x7 and a dense 7x1 convolution, each with the stride along its kernel, norm (NASNet)."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, (1, 7), stride=(1, stride), padding=(0, 3), bias=False),
        nn.Conv2d(channels, channels, (7, 1), stride=(stride, 1), padding=(3, 0), bias=False),
        norm(channels),
    )
