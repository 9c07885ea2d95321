"""A set of images as training consumes it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from nas.optimization.objective import Batch


@dataclass(frozen=True)
class Feed:
    """An endless stream of augmented batches, `steps` of which make an epoch, and all images once in order to measure.

    Batches are (images (N, C, H, W) float32, labels (N,) int64) on the device of the network.
    """

    stream: Iterator[Batch]
    steps: int
    in_order: Callable[[], Iterable[Batch]]

    def first_images(self) -> Tensor:
        """The first images in order: what step sizes are fitted to before training."""
        images, _ = next(iter(self.in_order()))
        return images
