"""A network that rounds as its file did."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nas.exporting.format import Rounding
from nas.exporting.quantized import grid_of, quantizers
from nas.supernet import Quantizer


@dataclass
class Turned:
    """How many numbers a file rounded to another level than the network did."""

    numbers: int = 0


@dataclass(frozen=True)
class _Match:
    """What a file made of the input of a quantizer, if `distance` is small enough to say that it is that input."""

    values: Tensor
    distance: float
    turned: int


@contextmanager
def following(network: nn.Module, roundings: Sequence[Rounding], tolerance: float) -> Iterator[Turned]:
    """Lets every quantizer Q of an input x give what the file rounded x to.

    So a number at the border of two levels, which another order of a sum moves across, goes the same way in both, and
    all that follows can be compared to the accuracy of floats. With d = tolerance * max |x|, the file's values are at
    most d outside of Q(x - d) to Q(x + d), and if it tells what it rounded, that is at most d from x where Q does not
    clamp. Which rounding is that of Q these numbers show: files may join equal ones and have them in any order.

    Raises (while the network runs):
        ValueError: an input of which this is true of no rounding.
    """
    turned = Turned()
    hooks = [
        quantizer.register_forward_hook(partial(_follow, path, roundings, tolerance, turned))
        for path, quantizer in quantizers(network)
        if quantizer.operand == "input"
    ]
    try:
        yield turned
    finally:
        for hook in hooks:
            hook.remove()


def _follow(
    path: str,
    roundings: Sequence[Rounding],
    tolerance: float,
    turned: Turned,
    quantizer: Quantizer,
    inputs: tuple[Tensor],
    wanted: Tensor,
) -> Tensor:
    """A forward hook."""
    (x,) = inputs
    allowed = tolerance * float(x.abs().max())
    matches = [_match(quantizer, x, wanted, one, allowed) for one in roundings if one.codes.shape == x.shape]
    if not matches:
        raise ValueError(f"{path!r} of the network rounds a tensor of shape {tuple(x.shape)}; nothing in the file does")
    near = [match for match in matches if match.distance <= allowed]
    if not near:
        distance = min(match.distance for match in matches)
        raise ValueError(
            f"what {path!r} of the network rounds differs in the file by {distance:.3g} or more; {allowed:.3g} is "
            f"allowed, by tolerance={tolerance:g}: give a larger one if that is good enough"
        )
    best = min(near, key=lambda match: match.turned)
    turned.numbers += best.turned
    return best.values


def _match(quantizer: Quantizer, x: Tensor, wanted: Tensor, rounding: Rounding, allowed: float) -> _Match:
    grid = grid_of(quantizer)
    values = grid.values(rounding.codes).to(x.dtype)
    off = [quantizer.forward(x - allowed) - values, values - quantizer.forward(x + allowed)]
    if rounding.inputs is not None:
        ends = [grid.values(torch.tensor(code)) for code in (grid.low, grid.high)]
        off.append(((rounding.inputs + grid.offset).clamp(*ends) - x.clamp(*ends)).abs())
    distance = float(torch.stack([part.max() for part in off]).max())
    return _Match(values, distance, int(((values - wanted).abs() > grid.step / 2).sum()))
