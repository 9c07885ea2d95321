"""Partial channel connections (PC-DARTS)."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from nas.supernet import MixedOp, PartialChannels
from tests.contracts import MixedModuleContract, random_images


def mixed_op(channels: int, stride: int) -> MixedOp:
    torch.manual_seed(0)
    return MixedOp(
        {
            "conv": nn.Conv2d(channels, channels, 3, stride, padding=1),
            "pool": nn.MaxPool2d(3, stride, padding=1),
        }
    ).double()


def shuffled(channels: int, groups: int) -> list[int]:
    """Where each output channel comes from: (g, C/g) transposed, so output i*g + j is input j*C/g + i."""
    width = channels // groups
    return [group * width + position for position in range(width) for group in range(groups)]


WEIGHTS = torch.tensor([0.3, 0.7], dtype=torch.float64)


class TestPartialChannels(MixedModuleContract):
    @pytest.fixture(params=[(1, 6, 6), (2, 6, 6), (2, 5, 7)], ids=str)
    def case(self, request: pytest.FixtureRequest) -> tuple[int, int, int]:
        return request.param

    @pytest.fixture
    def mixed(self, case: tuple[int, int, int]) -> PartialChannels:
        return PartialChannels(mixed_op(2, case[0]), k=4)

    @pytest.fixture
    def x(self, case: tuple[int, int, int]) -> Tensor:
        return random_images(2, 8, *case[1:])


def test_the_shuffle_is_the_stated_one() -> None:
    assert shuffled(8, 4) == [0, 2, 4, 6, 1, 3, 5, 7]
    x = torch.arange(8.0).view(1, 8, 1, 1)
    partial = PartialChannels(MixedOp({"skip": nn.Identity()}), k=4)
    assert partial(x, torch.ones(1)).flatten().tolist() == shuffled(8, 4)


@pytest.mark.parametrize(("channels", "mixed"), [(16, 1), (32, 2), (64, 4)])
def test_a_quarter_of_the_next_quarter_was_processed(channels: int, mixed: int) -> None:
    # specs/darts.md, 2.4: after one shuffle with K = 4 the first C/K slots hold C/K^2 processed channels
    x = torch.zeros(1, channels, 1, 1)
    partial = PartialChannels(MixedOp({"one": _AddOne()}), k=4)
    assert partial(x, torch.ones(1))[:, : channels // 4].sum() == mixed


def test_shuffling_back_is_the_identity() -> None:
    order = torch.tensor(shuffled(24, 4))
    assert order[torch.tensor(shuffled(24, 6))].tolist() == list(range(24))


@pytest.mark.parametrize("k", [2, 4])
def test_the_rest_is_bitwise_the_input(k: int) -> None:
    x = random_images(2, 8, 5, 6)
    mixed = mixed_op(8 // k, 1)
    y = PartialChannels(mixed, k)(x, WEIGHTS)
    for place, source in enumerate(shuffled(8, k)):
        wanted = x[:, source] if source >= 8 // k else mixed(x[:, : 8 // k], WEIGHTS)[:, source]
        assert torch.equal(y[:, place], wanted)


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("size", [(6, 6), (5, 7), (6, 5), (1, 4)])
def test_the_rest_is_bitwise_max_pooled_where_the_image_is_halved(k: int, size: tuple[int, int]) -> None:
    x = random_images(2, 8, *size)
    mixed = mixed_op(8 // k, 2)
    y = PartialChannels(mixed, k)(x, WEIGHTS)
    rows, columns = range(0, size[0], 2), range(0, size[1], 2)
    for place, source in enumerate(shuffled(8, k)):
        if source < 8 // k:
            wanted = mixed(x[:, : 8 // k], WEIGHTS)[:, source]
        else:
            windows = [[x[:, source, r : r + 2, c : c + 2].amax(dim=(1, 2)) for c in columns] for r in rows]
            wanted = torch.stack([torch.stack(row, dim=-1) for row in windows], dim=-2)
        assert torch.equal(y[:, place], wanted)


def test_even_sizes_are_pooled_like_the_authors() -> None:
    x = random_images(2, 8, 6, 6)
    y = PartialChannels(mixed_op(2, 2), k=4)(x, WEIGHTS)
    bypassed = [place for place, source in enumerate(shuffled(8, 4)) if source >= 2]
    assert torch.equal(y[:, bypassed], nn.MaxPool2d(2, 2)(x[:, [shuffled(8, 4)[place] for place in bypassed]]))


def test_one_part_is_the_mixed_operation() -> None:
    x = random_images(2, 4, 6, 6)
    mixed = mixed_op(4, 1)
    assert torch.equal(PartialChannels(mixed, k=1)(x, WEIGHTS), mixed(x, WEIGHTS))


def test_the_gradient_of_the_rest_does_not_depend_on_the_weights() -> None:
    upstream = random_images(2, 8, 3, 3, seed=1)
    partial, gradients = PartialChannels(mixed_op(2, 2), k=4), []
    for weights in (WEIGHTS, torch.tensor([-5.0, 90.0], dtype=torch.float64)):
        x = random_images(2, 8, 6, 6).requires_grad_()
        partial(x, weights).backward(upstream)
        gradients.append(x.grad)
    assert torch.equal(gradients[0][:, 2:], gradients[1][:, 2:])
    assert gradients[0][:, 2:].any()
    assert not torch.isclose(gradients[0][:, :2], gradients[1][:, :2]).all()


def test_only_the_first_channels_reach_the_operators() -> None:
    x, other = random_images(2, 8, 6, 6), random_images(2, 8, 6, 6, seed=1)
    other[:, :2] = x[:, :2]
    partial = PartialChannels(mixed_op(2, 1), k=4)
    processed = [place for place, source in enumerate(shuffled(8, 4)) if source < 2]
    assert torch.equal(partial(x, WEIGHTS)[:, processed], partial(other, WEIGHTS)[:, processed])
    assert_close(partial(x, WEIGHTS)[:, processed], partial.mixed(x[:, :2], WEIGHTS), rtol=0, atol=0)


def test_it_is_about_what_its_mixture_is_about() -> None:
    partial = PartialChannels(mixed_op(2, 1), k=4)
    assert partial.kind == "op"
    assert partial.candidates == ("conv", "pool")


def test_no_gradient_mode_gives_the_same() -> None:
    x = random_images(2, 8, 6, 6)
    partial = PartialChannels(mixed_op(2, 1), k=4)
    with torch.no_grad():
        assert torch.equal(partial(x, WEIGHTS), partial(x.clone().requires_grad_(), WEIGHTS))
    assert torch.equal(F.channel_shuffle(x, 4), x[:, shuffled(8, 4)])


class _AddOne(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def test_a_part_that_is_no_part() -> None:
    with pytest.raises(ValueError, match="k at least 1; this k is 0"):
        PartialChannels(MixedOp({"identity": nn.Identity()}), 0)


def test_k_of_1_may_halve_the_image() -> None:
    pool = MixedOp({"pool": nn.MaxPool2d(2)})
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(PartialChannels(pool, 1)(x, torch.ones(1)), pool(x, torch.ones(1)))
