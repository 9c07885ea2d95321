"""Bit widths shared out among filters."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nas.supernet.mixed_bits import MixedBits
from nas.supernet.quantizer import Quantizer


class PartitionedBits(MixedBits):
    """y_f = Q_b(f)(v_f) along one axis: the first filters get the first bit width, the next ones the second, ...

    Of n filters c_b = floor(w_b n) get bit width b, in the order of the candidates, and the last width what is left
    over (Zur et al., 2019, part A). A filter is quantized by its own bits alone, not by a mixture: at a one-hot mixture
    that is `MixedBits`. No gradient goes to the weights, so it is searched by a score function. Filters lie along axis
    0 of a layer's weight; along axis 1 of its input lie the channels that the filters before it made.

    Raises:
        ValueError: in a forward pass, weights that ask for a gradient.
    """

    def __init__(self, bits: Sequence[int], quantizer: Callable[[int], Quantizer], axis: int) -> None:
        super().__init__(bits, quantizer)
        self.axis = axis

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        if weights.requires_grad:
            raise ValueError(
                "filters that are shared out among bits pass no gradient on to alphas: search them by "
                "method=score_function, or mix them with space.partition_filters=false"
            )
        place = self._place(x.shape[self.axis], weights)
        place = place.view(-1, *[1] * (x.dim() - self.axis - 1))
        y = torch.zeros_like(x)
        for number, quantize in enumerate(self.quantizers):
            y = torch.where(place == number, quantize(x), y)
        return y

    def _place(self, filters: int, weights: Tensor) -> Tensor:
        """(filters,) int64: the position of each filter's bit width among the candidates."""
        counts = (weights.double() * filters + 1e-3).floor()  # float32 shares may fall short of whole numbers
        bounds = counts[:-1].cumsum(0)
        return (torch.arange(filters, device=weights.device)[:, None] >= bounds).sum(dim=1)
