"""How operators normalize: differently in a supernet and in a discrete network."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Normalization:
    """A recipe for batch norm: called with a number of channels, it makes the layer.

    Attributes:
        affine: whether the layer has a scale and a shift of its own.
        running: whether it keeps running statistics; a supernet keeps none, so extra forward passes leave no trace.
        after_pooling: whether pooling operators are followed by one (DARTS: in search only).
    """

    affine: bool
    running: bool
    after_pooling: bool

    def __call__(self, channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, affine=self.affine, track_running_stats=self.running)


SEARCH = Normalization(affine=False, running=False, after_pooling=True)
EVALUATION = Normalization(affine=True, running=True, after_pooling=False)
