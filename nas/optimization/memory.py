"""The largest batch that fits into memory, by trying."""

import gc
from collections.abc import Callable

import torch

LEAST = 2
"""Rows of the smallest batch that is tried: batch norm takes no statistics of one."""

WORDS = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
"""What libraries say that take memory beside torch: theirs are plain RuntimeErrors."""


def largest_batch(step: Callable[[int], None], below: int) -> int | None:
    """The most rows, fewer than `below`, with which `step(rows)` does not run out of memory; None where LEAST does.

    Memory grows with the rows, so that log2(below) steps find it.
    """
    if below <= LEAST or not _fits(step, LEAST):
        return None
    fits, fails = LEAST, below
    while fails - fits > 1:
        rows = (fits + fails) // 2
        if _fits(step, rows):
            fits = rows
        else:
            fails = rows
    return fits


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU has no memory left, in torch's own way or in that of a library below it."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


def _fits(step: Callable[[int], None], rows: int) -> bool:
    _free()
    try:
        step(rows)
    except RuntimeError as error:
        if out_of_memory(error):
            return False
        raise
    return True


def _free() -> None:
    """Gives back what nothing refers to any more, and what the allocator of a GPU keeps for later."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
