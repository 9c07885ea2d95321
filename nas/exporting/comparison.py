"""Whether a file computes what the network does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.exporting.quantized import quantizers

ROUNDING = 1e-5
"""A bound, a wide one, of what float32 sums of a layer in two programs differ by, as a part of the largest sum."""
NOISY_RUNS = 4


@dataclass(frozen=True)
class Comparison:
    """The largest absolute difference of two networks' logits, and the largest that rounding explains."""

    difference: float
    allowed: float


def compare(
    network: nn.Module, file: Callable[[Tensor], Tensor], batches: Sequence[Tensor], tolerance: float
) -> Comparison:
    """Logits of a network in evaluation mode against those of its file, over batches of images (N, C, H, W).

    Two programs round sums differently. Allowed is tolerance * max |logit|; with quantizers, where a number may round
    to the next step for that reason, also what the logits change by when noise, uniform up to ROUNDING * max |x|, is
    added to the inputs x of all quantizers: the largest change of 4 draws.

    Raises:
        ValueError: logits of other shapes, a larger difference, or a network whose logits are not finite.
    """
    with torch.no_grad():
        wanted = [network(images) for images in batches]
        if not all(logits.isfinite().all() for logits in wanted):
            raise ValueError("the logits of the network are not finite, so that no file can be compared with it")
        found = [file(images) for images in batches]
        shapes = [tuple(logits.shape) for logits in wanted], [tuple(logits.shape) for logits in found]
        if shapes[0] != shapes[1]:
            raise ValueError(f"the file gives logits of shapes {shapes[1]}, the network of {shapes[0]}")
        allowed = tolerance * max(float(logits.abs().max()) for logits in wanted)
        difference = largest_difference(wanted, found)
        allowed += _by_rounding(network, batches, wanted)
    if not difference <= allowed:
        raise ValueError(
            f"the logits of the file differ from those of the network by {difference:.3g}; {allowed:.3g} is allowed, "
            f"by tolerance={tolerance:g}: give a larger one if that is good enough"
        )
    return Comparison(difference, allowed)


def largest_difference(some: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """max |a - b| over pairs of tensors; NaN if there is one."""
    return float(torch.stack([(a - b).abs().max() for a, b in zip(some, others, strict=True)]).max())


def _by_rounding(network: nn.Module, batches: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """What noise at the quantizers of inputs changes; 0 without one."""
    generator = torch.Generator().manual_seed(0)
    with _noise(network, generator):
        return max(largest_difference(wanted, [network(images) for images in batches]) for _ in range(NOISY_RUNS))


@contextmanager
def _noise(network: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Adds u * ROUNDING * max |x|, u ~ U(-1, 1), to each value x that a quantizer of inputs reads."""

    def add(quantizer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = inputs
        noise = torch.empty_like(x).uniform_(-1, 1, generator=generator)
        return (x + ROUNDING * x.abs().max() * noise,)

    of_inputs = [quantizer for _, quantizer in quantizers(network) if quantizer.operand == "input"]
    hooks = [quantizer.register_forward_pre_hook(add) for quantizer in of_inputs]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
