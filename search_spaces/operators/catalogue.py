"""The candidate operators by name, each written once."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from search_spaces.operators.convolutions import conv_7x1_1x7, dilated_conv, separable_conv
from search_spaces.operators.normalization import EVALUATION, Normalization
from search_spaces.operators.pooling import avg_pool_3x3, max_pool_3x3
from search_spaces.operators.skip import Zero, skip_connect

Operator = Callable[[int, int, Normalization], nn.Module]
"""Makes a module from (channels, stride, norm); it keeps the channels and divides the image size by stride, upwards."""

NONE = "none"


def none(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """No connection."""
    return Zero(stride)


OPERATORS: Mapping[str, Operator] = {
    NONE: none,
    "max_pool_3x3": max_pool_3x3,
    "avg_pool_3x3": avg_pool_3x3,
    "skip_connect": skip_connect,
    "sep_conv_3x3": partial(separable_conv, 3),
    "sep_conv_5x5": partial(separable_conv, 5),
    "sep_conv_7x7": partial(separable_conv, 7),
    "dil_conv_3x3": partial(dilated_conv, 3),
    "dil_conv_5x5": partial(dilated_conv, 5),
    "conv_7x1_1x7": conv_7x1_1x7,
}


def is_parameter_free(operator: Operator) -> bool:
    """Whether the operator has nothing to learn where it keeps the image size.

    The operator is built on the meta device, which draws no random numbers: a search that looks at its genotype goes on
    as one that does not.
    """
    with torch.device("meta"):
        return not any(True for _ in operator(4, 1, EVALUATION).parameters())
