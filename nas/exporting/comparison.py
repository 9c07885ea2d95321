"""Whether a file computes what the network does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.exporting.following import following
from nas.exporting.format import Run


@dataclass(frozen=True)
class Comparison:
    """The largest absolute difference of logits, the largest that was allowed, and how many numbers were turned.

    Turned are those at the border of two levels of a quantizer that the file rounded to the other one; the network was
    made to follow it there before logits were compared.
    """

    difference: float
    allowed: float
    turned: int


def compare(
    network: nn.Module, files: Sequence[Callable[[Tensor], Run]], batches: Sequence[Tensor], tolerance: float
) -> Comparison:
    """A network in evaluation mode against runs of its file, over batches of images (N, C, H, W).

    Two programs round sums differently, so the logits of each batch may differ by tolerance * max |logit|. In a
    network with quantizers such a difference can move a number to the next level, which is a large change and no
    mistake; so the network is compared while it follows the roundings of the file, and every rounded tensor is compared
    as well, as `following` says.

    Raises:
        ValueError: logits of other shapes, a larger difference, or a network whose logits are not finite.
    """
    with torch.no_grad():
        compared = [_compare(network, file, images, tolerance) for file in files for images in batches]
    return Comparison(
        max(one.difference for one in compared),
        max(one.allowed for one in compared),
        sum(one.turned for one in compared),
    )


def _compare(network: nn.Module, file: Callable[[Tensor], Run], images: Tensor, tolerance: float) -> Comparison:
    logits = network(images)
    if not logits.isfinite().all():
        raise ValueError("the logits of the network are not finite, so that no file can be compared with it")
    run = file(images)
    if run.logits.shape != logits.shape:
        raise ValueError(f"the file gives logits of shape {tuple(run.logits.shape)}, the network {tuple(logits.shape)}")
    with following(network, run.roundings, tolerance) as turned:
        logits = network(images)
    difference, allowed = float((run.logits - logits).abs().max()), tolerance * float(logits.abs().max())
    if not difference <= allowed:
        raise ValueError(
            f"the logits of the file differ from those of the network by {difference:.3g}; {allowed:.3g} is allowed, "
            f"by tolerance={tolerance:g}: give a larger one if that is good enough"
        )
    return Comparison(difference, allowed, turned.numbers)
