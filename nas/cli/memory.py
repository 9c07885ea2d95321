"""What a person is told when a GPU runs out of memory."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nas.optimization import largest_batch, out_of_memory


@contextmanager
def fitting_batch_named(batch_size: int, devices: int, step: Callable[[int], None]) -> Iterator[None]:
    """Measures which batch would have fitted, where this block runs out of memory, by `step(rows)` of one device.

    Raises:
        ValueError: the batch size that fits, a multiple of the devices, or that none does.
    """
    try:
        yield
        return
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what the step had made so far
    rows = largest_batch(step, batch_size // devices)
    ran_out = f"the GPU ran out of memory at trainer.batch_size={batch_size}"
    if rows is None:
        raise ValueError(f"{ran_out}, and no smaller batch fits: give smaller network.channels or network.cells")
    size = rows * devices
    raise ValueError(f"{ran_out}; measured here, {size} fits: give trainer.batch_size={size} and another hydra.run.dir")


@contextmanager
def memory_for_the_start() -> Iterator[None]:
    """In this block, which makes what a run needs, a GPU without memory is one line; there is no step to measure yet.

    Raises:
        ValueError: it ran out.
    """
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise ValueError(
            "the GPU ran out of memory before the first step, while the network was built and the data put there: free "
            "it of other programs, or give smaller network.channels or network.cells"
        ) from None
