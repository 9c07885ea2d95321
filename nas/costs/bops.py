"""Bit operations of convolutions and linear layers (BOPs; Baskin et al., 2018; Zur et al., 2019)."""

from collections.abc import Sequence
from functools import cache


def bops_of_layer(
    positions: int, kernel: int, weight_bits: Sequence[int], input_bits: Sequence[int], groups: int = 1
) -> int:
    """BOPs of a layer whose filters have these weight bits, fed by channels of these input bits.

    `positions` is the number of output pixels H * W, `kernel` that of kernel elements k * k; a linear layer has 1 of
    each. A filter reads the channels of its group only; the authors' code lets it read all and divides the accumulator
    by groups^2. Biases are not counted.
    """
    filters, channels = len(weight_bits) // groups, len(input_bits) // groups
    return sum(
        bops_of_filter(positions, kernel, bits, input_bits[index // filters * channels :][:channels])
        for index, bits in enumerate(weight_bits)
    )


def bops_of_filter(positions: int, kernel: int, weight_bits: int, input_bits: Sequence[int]) -> int:
    """BOPs of one filter of weight bits w on channels i = 1..C of input bits b_i, as in the code of Zur et al.:

        mult = HW k^2 (w - 1) sum_i b_i
        acc  = ceil(log2(sum_i (2^b_i - 1) (2^(w-1) - 1) k^2))
        add  = HW (C k^2 - 1) acc

    32 bits, which stand for float, are counted by the same formula. One bit, which it leaves out, is a sign: no
    multiplication, and products as large as those of w = 2, whose weights are -1, 0 and 1.
    """
    largest_sum = kernel * _largest_weight(weight_bits) * sum(2**bits - 1 for bits in input_bits)
    products = positions * kernel * len(input_bits)
    return _operations(positions * (weight_bits - 1) * kernel * sum(input_bits), products, positions, largest_sum)


def bops_per_output(fan_in: int, weight_bits: int, input_bits: int) -> int:
    """BOPs of one number that a layer gives out, by `bops_of_filter`: a sum of `fan_in` = C k^2 products."""
    return bops_of_sums(fan_in, 1, weight_bits, input_bits)


@cache
def bops_of_sums(products: int, outputs: int, weight_bits: int, input_bits: int) -> int:
    """BOPs of so many numbers that are sums of so many products in all, by `bops_of_filter`.

    A transposed convolution sums unequally many for its outputs: accumulators are as wide as the mean needs, rounded
    up.
    """
    largest_sum = -(-products // outputs) * _largest_weight(weight_bits) * (2**input_bits - 1)
    return _operations((weight_bits - 1) * input_bits * products, products, outputs, largest_sum)


def _operations(multiplications: int, products: int, outputs: int, largest_sum: int) -> int:
    """BOPs of so many outputs that add up so many products: the additions are as wide as the largest sum."""
    return multiplications + max(products - outputs, 0) * _ceil_log2(largest_sum)


def _largest_weight(bits: int) -> int:
    return max(2 ** (bits - 1) - 1, 1)


def _ceil_log2(number: int) -> int:
    """ceil(log2(number)) of a whole number, exact above 2^53 too; 0 of 0."""
    return max(number - 1, 0).bit_length()
