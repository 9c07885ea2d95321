"""Bit operations: golden numbers of the literature, the formula written out, and networks counted as they run."""

import math
import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.costs import bops_of_filter, bops_of_layer, bops_per_output, count


def slow_bops_of_filter(positions: int, kernel: int, weight_bits: int, input_bits: list[int]) -> int:
    """The formula of Zur et al. (2019), each product and addition on its own, with an accumulator found by trying."""
    widest = sum((2**bits - 1) * (2 ** (weight_bits - 1) - 1) for bits in input_bits for _ in range(kernel))
    accumulator = next(bits for bits in range(200) if 2**bits >= widest)
    multiplied = sum((weight_bits - 1) * bits for bits in input_bits for _ in range(kernel))
    additions = len([None for _ in input_bits for _ in range(kernel)]) - 1
    return positions * (multiplied + additions * accumulator)


def closed_form(inputs: int, filters: int, kernel: int, positions: int, *, weights: int, activations: int) -> float:
    """UNIQ's approximation (Baskin et al., 2018): n m k^2 HW (b_a b_w + b_a + b_w + log2(n k^2))"""
    bits = activations * weights + activations + weights + math.log2(inputs * kernel)
    return inputs * filters * kernel * positions * bits


@pytest.mark.parametrize(
    ("bits", "bops"), [(2, 3_225_600), (3, 5_283_840), (4, 7_639_040), (8, 23_250_944)], ids=lambda value: str(value)
)
def test_golden_numbers_of_one_layer(bits: int, bops: int) -> None:
    assert bops_of_layer(64, 9, [bits] * 32, [bits] * 16) == bops
    assert 32 * 64 * bops_per_output(16 * 9, bits, bits) == bops


def test_the_golden_number_of_mixed_bits() -> None:
    assert bops_of_layer(64, 9, [2] * 16 + [4] * 16, [2] * 8 + [4] * 8) == 5_430_272


@pytest.mark.parametrize("seed", range(10))
def test_mixed_bits_against_the_formula_written_out(seed: int) -> None:
    rng = random.Random(seed)
    positions, kernel = rng.randint(1, 50), rng.choice((1, 9, 25))
    inputs = [rng.choice((1, 2, 5, 8, 32)) for _ in range(rng.randint(1, 9))]
    filters = [rng.choice((2, 3, 8, 32)) for _ in range(4)]
    each = [slow_bops_of_filter(positions, kernel, bits, inputs) for bits in filters]
    assert [bops_of_filter(positions, kernel, bits, inputs) for bits in filters] == each
    assert bops_of_layer(positions, kernel, filters, inputs) == sum(each)


def test_each_group_reads_its_own_channels() -> None:
    grouped = bops_of_layer(10, 9, [2, 2, 8, 8, 4, 4], [3, 4, 5, 6, 7, 8], groups=3)
    alone = [([2, 2], [3, 4]), ([8, 8], [5, 6]), ([4, 4], [7, 8])]
    assert grouped == sum(bops_of_layer(10, 9, filters, inputs) for filters, inputs in alone)


def test_more_bits_never_cost_less() -> None:
    for fan_in in (1, 2, 9, 144, 4608):
        for bits in range(1, 32):
            for other in (1, 2, 7, 32):
                assert bops_per_output(fan_in, bits, other) <= bops_per_output(fan_in, bits + 1, other)
                assert bops_per_output(fan_in, other, bits) <= bops_per_output(fan_in, other, bits + 1)


def test_signs_are_added_but_not_multiplied() -> None:
    # 144 weights of -1 or 1 times inputs of up to 15: sums of up to 2160, 12 bits
    assert bops_per_output(144, 1, 4) == 143 * 12
    assert bops_per_output(144, 1, 4) == bops_of_filter(1, 9, 1, [4] * 16)
    assert bops_per_output(1, 1, 1) == 0


def test_a_sum_of_a_power_of_two_needs_no_further_bit() -> None:
    # 16 products of 1: log2(16) bits, as the formula says
    assert bops_per_output(16, 2, 1) == 16 + 15 * 4 == bops_of_filter(1, 1, 2, [1] * 16)


class QuantizedConv(nn.Conv2d):
    """A convolution that says its bits, and multiplies its weight by something, as a quantizer does."""

    def __init__(self, *sizes: int, weight_bits: int, input_bits: int, **options: int) -> None:
        super().__init__(*sizes, **options)
        self.weight_bits, self.input_bits = weight_bits, input_bits

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight.round() * 2, self.bias)


class MixedPrecision(nn.Module):
    """Quantized, plain and functional layers, grouped and depthwise ones among them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = QuantizedConv(8, 12, 3, weight_bits=3, input_bits=5, padding=1, groups=4)
        self.depthwise = QuantizedConv(12, 12, 5, weight_bits=2, input_bits=4, padding=2, groups=12, stride=2)
        self.kernel = nn.Parameter(torch.ones(6, 12, 1, 1))
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(self.depthwise(self.grouped(self.stem(x))), self.kernel)
        return self.head(x.mean(dim=(2, 3)))


def test_a_network_is_counted_at_the_bits_of_its_layers() -> None:
    network = MixedPrecision()
    found = count(network, (3, 8, 8))
    assert found.bops == sum(
        [
            bops_of_layer(64, 9, [32] * 8, [32] * 3),
            bops_of_layer(64, 9, [3] * 12, [5] * 8, groups=4),
            bops_of_layer(16, 25, [2] * 12, [4] * 12, groups=12),
            bops_of_layer(16, 1, [32] * 6, [32] * 12),  # no module computes it
            bops_of_layer(1, 1, [32] * 5, [32] * 6),
        ]
    )
    in_float = (8 * 27 + 8) + 12 + 12 + 6 * 12 + (5 * 6 + 5)
    assert found.memory_bytes == 4 * in_float + math.ceil((3 * 12 * 18 + 2 * 12 * 25) / 8)
    assert found.params == in_float + 12 * 18 + 12 * 25
    assert not network.grouped._forward_hooks


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    """torchvision's, on the meta device."""
    from nas.data.vision import torchvision

    with torch.device("meta"):
        return torchvision.models.resnet18()


def test_resnet_18_in_float(resnet18: nn.Module) -> None:
    found = count(resnet18, (3, 224, 224))
    assert (found.params, found.macs, found.memory_bytes) == (11_689_512, 1_814_073_344, 4 * 11_689_512)
    assert round(found.bops / 1e8) == 19_338  # 1933.8 G


def test_resnet_18_at_four_and_eight_bits(resnet18: nn.Module) -> None:
    """81.9 G by the authors' code and 98.4 G by the closed form, 1933.8 G and 1992.3 G at 32 bits."""
    sizes = []

    def note(layer: nn.Module, _: object, y: Tensor) -> None:
        kernel = math.prod(getattr(layer, "kernel_size", (1,)))
        sizes.append((layer.weight[0].numel() // kernel, layer.weight.shape[0], kernel, y[0, 0].numel()))

    hooks = [m.register_forward_hook(note) for m in resnet18.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    resnet18.eval()(torch.empty(1, 3, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    assert len(sizes) == 21
    for weights, activations, code, approximation in ((32, 32, 1933.8, 1992.3), (4, 8, 81.9, 98.4)):
        exact = sum(m * p * bops_per_output(n * k, weights, activations) for n, m, k, p in sizes)
        closed = sum(closed_form(*size, weights=weights, activations=activations) for size in sizes)
        assert (round(exact / 1e9, 1), round(closed / 1e9, 1)) == (code, approximation)
