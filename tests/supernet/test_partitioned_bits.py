"""Bit widths shared out among filters."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nas.supernet import LSQ, MixedBits, PartitionedBits, Tally, quantizers_in

BITS = (2, 3, 4, 32)


def started(kind: type[MixedBits], x: Tensor, *arguments: int) -> MixedBits:
    made = kind(BITS, lambda bits: LSQ(bits, "weight"), *arguments).double()
    for quantizer in quantizers_in(made):
        quantizer.start(Tally(x))
    return made


@pytest.fixture
def x() -> Tensor:
    return torch.randn(10, 6, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_one_hot_mixture_is_that_of_mixed_bits(x: Tensor, axis: int) -> None:
    mixed, parted = started(MixedBits, x), started(PartitionedBits, x, axis)
    for weights in torch.eye(4, dtype=torch.float64):
        assert torch.equal(parted(x, weights), mixed(x, weights))
    for bits in BITS:
        assert_close(parted.select(bits)(x), mixed.select(bits)(x), rtol=0, atol=0)


def test_filters_are_shared_out_in_order_and_the_last_width_takes_the_rest(x: Tensor) -> None:
    """floor(.35 * 10) = 3, floor(.2 * 10) = 2, floor(.25 * 10) = 2, and 3 are left over."""
    parted = started(PartitionedBits, x, 0)
    y = parted(x, torch.tensor([0.35, 0.2, 0.25, 0.2]))
    blocks = [(2, slice(0, 3)), (3, slice(3, 5)), (4, slice(5, 7)), (32, slice(7, 10))]
    for bits, block in blocks:
        assert torch.equal(y[block], parted.select(bits)(x)[block])
    along = started(PartitionedBits, x, 1)(x, torch.tensor([0.5, 0.5, 0.0, 0.0]))
    assert torch.equal(along[:, :3], parted.select(2)(x)[:, :3])
    assert torch.equal(along[:, 3:], parted.select(3)(x)[:, 3:])


@pytest.mark.parametrize("filters", [3, 7, 10, 49])
def test_whole_shares_stay_whole_in_float32(filters: int) -> None:
    parted = PartitionedBits((2, 4), lambda bits: LSQ(bits, "weight"), 0)
    for first in range(filters + 1):
        shares = torch.tensor([first / filters, 1 - first / filters], dtype=torch.float32)
        assert int((parted._place(filters, shares) == 0).sum()) == first


def test_filters_learn_through_their_own_quantizer(x: Tensor) -> None:
    parted = started(PartitionedBits, x, 0)
    leaf, weights = x.clone().requires_grad_(), torch.tensor([0.5, 0.0, 0.5, 0.0])
    parted(leaf, weights).sum().backward()
    assert leaf.grad is not None
    steps = [quantizer.step.grad for quantizer in quantizers_in(parted)]
    assert [bool(step) for step in steps] == [True, False, True]


def test_a_gradient_that_nothing_would_give(x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^filters that are shared out among bits pass no gradient on to alphas"):
        started(PartitionedBits, x, 0)(x, torch.full((4,), 0.25, requires_grad=True))
