"""Pooling operators."""

from torch import nn

from search_spaces.operators.normalization import Normalization


def max_pool_3x3(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """3x3 max pooling; in search followed by a norm."""
    return _pooling(nn.MaxPool2d(3, stride, padding=1), channels, norm)


def avg_pool_3x3(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """3x3 average pooling that does not count the padding; in search followed by a norm."""
    return _pooling(nn.AvgPool2d(3, stride, padding=1, count_include_pad=False), channels, norm)


def _pooling(pool: nn.Module, channels: int, norm: Normalization) -> nn.Module:
    return nn.Sequential(pool, norm(channels)) if norm.after_pooling else pool
