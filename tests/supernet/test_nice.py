"""NICE-style uniform quantization against recorded errors and a slow form."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nas.supernet import NICE, Operand, Tally
from tests.contracts import EXACT, random_images


def started(bits: int, operand: Operand, x: Tensor) -> NICE:
    quantizer = NICE(bits, operand).double().eval()
    quantizer.start(Tally(x))
    return quantizer


@pytest.mark.parametrize(("bits", "recorded"), [(2, 0.772), (3, 0.110), (4, 0.0203)])
def test_the_error_on_gaussian_weights_is_the_recorded_one(bits: int, recorded: float) -> None:
    """On standard normal quantiles, so that nothing is random; the recorded figures are of a sample, 1.3 % apart."""
    grid = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000
    w = torch.special.ndtri(grid)
    error = (started(bits, "weight", w)(w) - w).square().mean() / w.var()
    assert float(error) == pytest.approx(recorded, rel=0.015)
    assert float(error) == pytest.approx(integral(2 ** (bits - 1) - 1), rel=1e-4)


def integral(high: int) -> float:
    """E (w - Q(w))^2 of a standard normal w, level by level, from the normal's own integrals."""
    step = 3.45 / high
    total = 0.0
    for level in range(-high, high + 1):
        ends = [(level - 0.5) * step if level > -high else -40.0, (level + 0.5) * step if level < high else 40.0]
        density = [math.exp(-end * end / 2) / math.sqrt(2 * math.pi) for end in ends]
        below = [math.erfc(-end / math.sqrt(2)) / 2 for end in ends]
        share, middle = below[1] - below[0], level * step
        square = share - (ends[1] * density[1] - ends[0] * density[0])
        total += square + 2 * middle * (density[1] - density[0]) + middle**2 * share
    return total


@pytest.mark.parametrize("bits", [2, 3, 5])
def test_a_weight_has_2_to_the_b_minus_1_levels_between_its_clamps(bits: int) -> None:
    w = 3 + random_images(20_000)
    quantizer = started(bits, "weight", w)
    high = 2 ** (bits - 1) - 1
    assert quantizer.levels == (-high, high)
    step = (w.mean().abs() + 3.45 * w.std(correction=0)) / high
    assert_close(quantizer.step_size(), step, **EXACT)
    found = quantizer(torch.linspace(-20, 20, 10_001, dtype=torch.float64)).unique()
    assert_close(found, step * torch.arange(-high, high + 1), **EXACT)
    assert len(found) == 2**bits - 1


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_an_input_has_levels_from_0_to_3_deviations_above_its_mean(bits: int) -> None:
    x = random_images(4, 5000).relu()
    quantizer = started(bits, "input", x)
    step = (x.mean() + 3 * x.std(correction=0)) / (2**bits - 1)
    assert_close(quantizer(torch.linspace(0, 9, 5001).double()).unique(), step * torch.arange(2**bits), **EXACT)


def test_an_input_of_both_signs_is_quantized_like_a_weight() -> None:
    x = random_images(4, 5000)
    quantizer = started(3, "input", x)
    assert quantizer.levels == (-3, 3)
    assert_close(quantizer.step_size(), (x.mean().abs() + 3 * x.std(correction=0)) / 3, **EXACT)


def test_the_gradient_goes_straight_through_between_the_clamps() -> None:
    w = random_images(2000).requires_grad_()
    quantizer = started(3, "weight", w.detach())
    upstream = random_images(2000, seed=1)
    (gradient,) = torch.autograd.grad(quantizer(w), w, upstream)
    inside = w.detach().abs() < 3 * quantizer.step_size()
    assert 0 < int((~inside).sum()) < 20
    assert torch.equal(gradient, upstream * inside)


def test_in_training_5_percent_of_the_weights_get_noise_of_half_a_step() -> None:
    w = random_images(100_000)
    quantizer = started(3, "weight", w)
    rounded = quantizer(w)
    quantizer.train()
    torch.manual_seed(0)
    noisy = quantizer(w)
    step, high = quantizer.step_size(), 3
    clipped = w.clamp(-high * step, high * step)
    other = (noisy - rounded).abs() > 1e-9
    assert float(other.double().mean()) == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / len(w)) ** 0.5)
    noise = ((noisy - clipped) / step)[other]
    assert float(noise.abs().max()) <= 0.5
    assert float(noise.mean()) == pytest.approx(0, abs=5e-3 * 4)
    assert float(noise.var()) == pytest.approx(1 / 12, rel=0.05)
    assert not torch.equal(quantizer(w), noisy)
    torch.manual_seed(0)
    assert torch.equal(quantizer(w), noisy)


def test_an_input_gets_no_noise() -> None:
    x = random_images(2, 50).relu()
    quantizer = started(3, "input", x).train()
    state = torch.get_rng_state()
    quantizer(x)
    assert torch.equal(torch.get_rng_state(), state)


def test_statistics_move_in_training_only() -> None:
    first, second = random_images(8, 100), 2 + random_images(8, 100, seed=1)
    weight, image = started(3, "weight", first), started(3, "input", first)
    for quantizer in (weight, image):
        quantizer(second)
        assert_close(quantizer.mean, first.mean(), **EXACT)
        quantizer.train()(second)
    assert_close(weight.mean, second.mean(), **EXACT)
    assert_close(weight.deviation, second.std(correction=0), **EXACT)
    assert_close(image.mean, 0.9 * first.mean() + 0.1 * second.mean(), **EXACT)
    assert_close(image.deviation, 0.9 * first.std(correction=0) + 0.1 * second.std(correction=0), **EXACT)


def test_a_weight_starts_by_itself_in_training_and_is_nan_before() -> None:
    quantizer, w = NICE(3, "weight").double(), random_images(100)
    assert quantizer.eval()(w).isnan().all()
    assert quantizer.train()(w).isfinite().all()


def test_numbers_that_are_all_zero_stay() -> None:
    zeros = torch.zeros(10, dtype=torch.float64)
    assert torch.equal(started(3, "weight", zeros)(zeros), zeros)


def test_autocast_rounds_in_float32() -> None:
    quantizer = NICE(8, "input").eval()
    quantizer.start(Tally(30 * torch.rand(100)))
    x = (50 * torch.rand(1, 1000, generator=torch.Generator().manual_seed(0))).bfloat16()
    y = quantizer(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, quantizer(x.float()).bfloat16())


def test_one_bit_of_both_signs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^NICE has one level, 0, at 1 bit .* of this weight: give 2 bits or more"):
        NICE(1, "weight")
    quantizer = NICE(1, "input")
    assert quantizer(torch.rand(3, 4)).isfinite().all()
    with pytest.raises(ValueError, match="of this input: give 2 bits or more, or use LSQ"):
        quantizer.start(Tally(torch.randn(10)))
