"""A mixture of channel widths against networks that are narrower."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from nas.supernet import MixedWidth, widths_of
from tests.contracts import EXACT, MixedModuleContract, random_images

WIDTHS = {0.25: 2, 0.5: 4, 1.0: 8}


class TestMixedWidth(MixedModuleContract):
    @pytest.fixture
    def mixed(self) -> MixedWidth:
        return MixedWidth(WIDTHS, torch.tensor([0, 1, -1, 2, 3, 7, 6, 5, 4, -1]))

    @pytest.fixture
    def x(self) -> Tensor:
        return random_images(3, 10, 3, 3)


def test_a_masked_weight_is_a_convolution_of_the_channels_that_are_kept() -> None:
    """Channels of the group in an order of its own, beside channels of another group."""
    ranks = torch.tensor([5, -1, 0, 3, 1, 7, 2, -1, 6, 4])
    mixed, weight, x = MixedWidth(WIDTHS, ranks), random_images(4, 10, 3, 3), random_images(2, 10, 6, 6, seed=1)
    for ratio, width in WIDTHS.items():
        kept = [channel for channel, rank in enumerate(ranks.tolist()) if rank < width]
        assert len(kept) == width + 2
        one_hot = torch.tensor([float(ratio == other) for other in WIDTHS])
        wanted = F.conv2d(x[:, kept], weight[:, kept], padding=1)
        assert_close(F.conv2d(x, mixed(weight, one_hot), padding=1), wanted, **EXACT)
        assert torch.equal(mixed.select(ratio)(weight), mixed(weight, one_hot))


def test_a_mixed_mask_is_the_mixture_of_convolutions() -> None:
    mixed, weight, x = MixedWidth(WIDTHS, torch.arange(8)), random_images(4, 8, 3, 3), random_images(2, 8, 6, 6, seed=1)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    outputs = [F.conv2d(x[:, :width], weight[:, :width]) for width in WIDTHS.values()]
    wanted = sum(share * output for share, output in zip(weights, outputs, strict=True))
    assert_close(F.conv2d(x, mixed(weight, weights)), wanted, **EXACT)


def test_the_mask_is_a_sum_of_weights_number_by_number() -> None:
    ranks, weights = torch.tensor([3, 0, -1, 2, 5, 7]), torch.tensor([0.5, -2.0, 4.0])
    mask = MixedWidth(WIDTHS, ranks, axis=0)(torch.ones(6, 2), weights)
    assert mask[:, 0].tolist() == [2.0, 2.5, 1.0, 2.0, 4.0, 4.0]
    assert torch.equal(mask[:, 0], mask[:, 1])


def test_a_weight_of_a_linear_layer_and_any_axis() -> None:
    mixed, x = MixedWidth(WIDTHS, torch.arange(8).repeat_interleave(2)), random_images(3, 16)
    one_hot = torch.tensor([0.0, 1.0, 0.0])
    assert torch.equal(mixed(x, one_hot), torch.cat([x[:, :8], torch.zeros(3, 8)], 1))
    across = MixedWidth(WIDTHS, torch.arange(8).repeat_interleave(2), axis=0)
    assert torch.equal(across(x.T, one_hot), mixed(x, one_hot).T)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
def test_the_precision_is_that_of_the_tensor(precision: torch.dtype) -> None:
    mixed, x = MixedWidth(WIDTHS, torch.arange(8)), torch.randn(2, 8, dtype=precision)
    for asked in (torch.float32, torch.float64):
        assert mixed(x, torch.ones(3, dtype=asked)).dtype == precision
    assert mixed.select(0.5)(x).dtype == precision


def test_there_is_nothing_to_learn_or_to_store() -> None:
    mixed = MixedWidth(WIDTHS, torch.arange(8))
    assert mixed.candidates == (0.25, 0.5, 1.0)
    assert mixed.kind == "width"
    for module in (mixed, mixed.select(0.5)):
        assert not list(module.parameters())
        assert not module.state_dict()


def test_widths_are_ratios_of_the_size() -> None:
    assert widths_of((0.25, 0.5, 0.75, 1), 16, "conv1") == {0.25: 4, 0.5: 8, 0.75: 12, 1: 16}
    assert widths_of((0.7, 0.1), 10, "conv1") == {0.7: 7, 0.1: 1}  # 0.7 * 10 is 7.000000000000001
    assert widths_of((1 / 3,), 48, "conv1") == {1 / 3: 16}


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ((), "'conv1' has no channel ratios: give at least one in (0, 1], such as 0.5"),
        ((0.5, 0), "a channel ratio of 'conv1' is 0: give numbers above 0 and at most 1"),
        ((1.5,), "a channel ratio of 'conv1' is 1.5: give numbers above 0 and at most 1"),
        ((float("nan"),), "a channel ratio of 'conv1' is nan: give numbers above 0 and at most 1"),
        (("0.5",), "a channel ratio of 'conv1' is '0.5': give numbers above 0 and at most 1"),
        (
            (0.3,),
            "a channel ratio of 'conv1' is 0.3, which is 4.8 of its 16 channels: give ratios that make whole numbers",
        ),
        (
            (0.01,),
            "a channel ratio of 'conv1' is 0.01, which is 0.16 of its 16 channels: give ratios that make whole numbers",
        ),
        ((0.5, 1, 0.5), "the channel ratios of 'conv1' are (0.5, 1, 0.5), 0.5 twice: give each once"),
    ],
)
def test_ratios_that_cannot_be(ratios: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        widths_of(ratios, 16, "'conv1'")
    assert str(caught.value) == message
