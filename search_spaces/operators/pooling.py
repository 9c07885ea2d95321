"""Pooling operators."""

from collections.abc import Mapping

from torch import Tensor, nn

from nas.supernet import Fan, Shared, batch_norm
from search_spaces.operators.normalization import Normalization, is_plain


class NormalizedPooling(nn.Sequential):
    """A pooling layer and a norm."""

    family = None

    def __init__(self, pool: nn.Module, norm: nn.BatchNorm2d) -> None:
        super().__init__(pool, norm)
        self.eps = norm.eps

    @property
    def intact(self) -> bool:
        """Whether it is a pooling layer and a norm without parameters and memory, and nothing else."""
        return len(self) == 2 and is_plain(self[-1])

    def batched(self, fan: Fan, parameters: Mapping[str, Tensor]) -> Shared:
        """The sources pooled once."""
        return Shared(batch_norm(self[0](fan.x), self.eps))


def max_pool_3x3(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """3x3 max pooling; in search followed by a norm."""
    return _pooling(nn.MaxPool2d(3, stride, padding=1), channels, norm)


def avg_pool_3x3(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """3x3 average pooling that does not count the padding; in search followed by a norm."""
    return _pooling(nn.AvgPool2d(3, stride, padding=1, count_include_pad=False), channels, norm)


def _pooling(pool: nn.Module, channels: int, norm: Normalization) -> nn.Module:
    return NormalizedPooling(pool, norm(channels)) if norm.after_pooling else pool
