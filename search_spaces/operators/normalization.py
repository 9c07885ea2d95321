"""How operators normalize: differently in a supernet and in a discrete network."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from nas.supernet import batch_norm


@dataclass(frozen=True)
class Normalization:
    """A recipe for batch norm: called with a number of channels, it makes the layer.

    Attributes:
        affine: whether the layer has a scale and a shift of its own.
        running: whether it keeps running statistics; a supernet keeps none, so extra forward passes leave no trace.
        after_pooling: whether pooling operators are followed by one (DARTS: in search only).
        on_rows: whether it runs on rows of channels, which is the same at another speed.
    """

    affine: bool
    running: bool
    after_pooling: bool
    on_rows: bool = False

    def __call__(self, channels: int) -> nn.BatchNorm2d:
        layer = _BatchNormOnRows if self.on_rows else nn.BatchNorm2d
        return layer(channels, affine=self.affine, track_running_stats=self.running)


class _BatchNormOnRows(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        if self.affine or self.track_running_stats:
            return super().forward(x)
        return batch_norm(x, self.eps)


def is_plain(layer: nn.Module) -> bool:
    """Whether it is a batch norm with neither parameters nor memory."""
    return isinstance(layer, nn.BatchNorm2d) and not (layer.affine or layer.track_running_stats)


SEARCH = Normalization(affine=False, running=False, after_pooling=True)
BATCHED_SEARCH = replace(SEARCH, on_rows=True)
EVALUATION = Normalization(affine=True, running=True, after_pooling=False)
