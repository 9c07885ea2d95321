"""A set of images as training consumes it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from nas.optimization.objective import Batch
from nas.reading import require_count, require_keys

LAST = 2**31
"""Epochs, and batches of one, that no run reaches."""


class Stream(Protocol):
    """Endless batches; `epoch` and `batch` say which comes next, and all that is random in one follows from them."""

    epoch: int
    batch: int

    def __next__(self) -> Batch:
        """The next batch."""

    def seek(self, epoch: int, batch: int) -> None:
        """Goes to a position, from which the same batches come as before."""


@dataclass(frozen=True)
class Feed:
    """An endless stream of augmented batches, `steps` of which make an epoch, and all images once in order to measure.

    Batches are (images (N, C, H, W) float32, labels (N,) int64) on the device of the network.
    """

    stream: Stream
    steps: int
    in_order: Callable[[], Iterable[Batch]]

    def first_images(self) -> Tensor:
        """The first images in order: what step sizes are fitted to before training."""
        images, _ = next(iter(self.in_order()))
        return images

    def next_rows(self, rows: int) -> Batch:
        """The first rows of the next batch."""
        images, labels = next(self.stream)
        return images[:rows], labels[:rows]

    def state_dict(self) -> dict[str, int]:
        """The position of the stream."""
        return {"epoch": self.stream.epoch, "batch": self.stream.batch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Moves the stream to a position; a ValueError for what is none."""
        require_keys(state, self.state_dict(), "stream")
        for name, number in state.items():
            require_count(number, f"stream[{name!r}]", LAST)
        self.stream.seek(state["epoch"], state["batch"])
