"""Precision inside functions that have a backward pass of their own."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The precision that autocast asks for on this device, if it is on."""
    kind = device.type
    on = _has_autocast(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if on else None


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A block in which every operation keeps the precision of its arguments."""
    kind = device.type
    return torch.autocast(kind, enabled=False) if _has_autocast(kind) else nullcontext()


def wide(x: Tensor) -> Tensor:
    """x in the precision that sums and roundings are computed in: bf16 becomes float32, float64 stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def returned(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x in this precision, as the forward pass of a `Function` may return it.

    Where the last step there is in place or a `to` that changes nothing, the compiler of PyTorch 2.11 takes the
    gradients of the `Function` for zeros, without a word.
    """
    y = x.to(dtype)
    return y.view_as(y) if torch.compiler.is_compiling() else y


@torch.compiler.assume_constant_result  # which the compiler of PyTorch 2.11 cannot look into
def _has_autocast(kind: str) -> bool:
    return torch.amp.is_autocast_available(kind)
