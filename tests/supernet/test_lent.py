"""Mixture weights lent to a network for one pass."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import ArchParameters, Choice
from nas.relaxation import Softmax
from nas.supernet import (
    LSQ,
    LendingNetwork,
    Lent,
    MixedBits,
    MixedOp,
    MixedWidth,
    QuantizedConv2d,
    QuantizedLinear,
    widths_of,
)
from tests.contracts import random_images

CHOICES = (
    Choice("first/weight_bits", (1, 4, 32)),
    Choice("first/width", (0.25, 0.5, 1.0)),
    Choice("act/op", ("relu", "tanh")),
)


def lending() -> LendingNetwork:
    """Two layers that read one group, so that a choice is lent twice."""
    torch.manual_seed(0)
    widths = widths_of((0.25, 0.5, 1.0), 8, "first")

    def masked(features: int) -> Lent:
        return Lent(MixedWidth(widths, torch.arange(8).repeat_interleave(features // 8)), "first/width")

    bits = Lent(MixedBits((1, 4, 32), lambda b: LSQ(b, "weight")), "first/weight_bits")
    network = nn.Sequential(
        QuantizedConv2d.of(nn.Conv2d(3, 8, 3), on_weight=bits),
        Lent(MixedOp({"relu": nn.ReLU(), "tanh": nn.Tanh()}), "act/op"),
        QuantizedConv2d.of(nn.Conv2d(8, 8, 3), on_weight=masked(8)),
        nn.Flatten(),
        QuantizedLinear.of(nn.Linear(32, 5)),
        nn.Unflatten(1, (5,)),
    )
    network[1].mixed.operators[0].register_buffer("unused", torch.zeros(1))
    network.append(QuantizedLinear.of(nn.Linear(5, 5)))
    network[2] = nn.Sequential(network[2], QuantizedConv2d.of(nn.Conv2d(8, 8, 1), on_weight=masked(8)))
    return LendingNetwork(network).double()


@pytest.fixture
def supernet() -> LendingNetwork:
    return lending()


@pytest.fixture
def x() -> Tensor:
    return random_images(2, 3, 6, 6)


@pytest.fixture
def mixture() -> Mapping[str, Tensor]:
    torch.manual_seed(1)
    return Softmax().sample_all(ArchParameters(CHOICES, scale=1.0)) if False else _mixture()


def _mixture() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {c.name: torch.rand(len(c.candidates), generator=generator).requires_grad_() for c in CHOICES}
