"""What a machine can do at best: the rates that a floor is reckoned with."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

ROUNDS = 5


@dataclass(frozen=True)
class Rates:
    """Multiply-accumulates a second of a large square matrix product, bytes a second of a large copy (read and
    written)."""

    macs: float
    bytes: float


def measured_rates(device: torch.device, dtype: torch.dtype) -> Rates:
    """The best of a few rounds, in the precision that the study computes in."""
    side, length = (8192, 2**28) if device.type == "cuda" else (1536, 2**25)
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    product = torch.empty_like(a)
    source = torch.ones(length, device=device)
    target = torch.ones_like(source)
    macs = side**3 / _best(lambda: torch.mm(a, b, out=product), device)
    return Rates(macs, 2 * source.nbytes / _best(lambda: target.copy_(source), device))


def settled(device: torch.device) -> Callable[[], None]:
    """What waits until the device has done all that it was told."""
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)


def _best(work: Callable[[], object], device: torch.device) -> float:
    settle, seconds = settled(device), []
    for _ in range(ROUNDS):
        settle()
        start = time.perf_counter()
        work()
        settle()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
