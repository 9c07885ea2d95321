"""Learned step sizes against the formulas of the paper (Esser et al., 2020)."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nas.supernet import LSQ, Operand, Tally
from tests.contracts import EXACT, random_images

CASES = [(1, "weight"), (2, "weight"), (3, "weight"), (8, "weight"), (1, "input"), (2, "input"), (4, "input")]


def lsq(bits: int, operand: Operand, step: float, *, signed: bool = True) -> LSQ:
    quantizer = LSQ(bits, operand).double()
    quantizer.start(Tally(torch.tensor([-1.0 if signed else 1.0])))
    quantizer.step.data.fill_(step)
    return quantizer


def paper(v: Tensor, s: Tensor, low: int, high: int, count: int) -> Tensor:
    """The authors' appendix: a detached difference passes the gradient of what it is added to."""
    scale = 1 / math.sqrt(count * high)
    s = (s - s * scale).detach() + s * scale
    clipped = (v / s).clamp(low, high)
    return (clipped + (clipped.round() - clipped).detach()) * s


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("bits", "operand"), [case for case in CASES if case[0] > 1])
@pytest.mark.parametrize("step", [0.05, 0.3, 2.0])
def test_values_and_gradients_are_the_authors(bits: int, operand: Operand, step: float, signed: bool) -> None:
    quantizer = lsq(bits, operand, step, signed=signed or operand == "weight")
    x, upstream = random_images(3, 4, 5, 6).requires_grad_(), random_images(3, 4, 5, 6, seed=1)
    low, high = quantizer.levels
    found = quantizer(x)
    wanted = paper(x, quantizer.step, low, high, x.numel() if operand == "weight" else 4 * 5 * 6)
    assert_close(found, wanted, **EXACT)
    leaves = (x, quantizer.step)
    assert_close(torch.autograd.grad(found, leaves, upstream), torch.autograd.grad(wanted, leaves, upstream), **EXACT)


@pytest.mark.parametrize(
    ("bits", "signed", "levels"),
    [
        (2, True, (-2, 1)),
        (4, True, (-8, 7)),
        (31, True, (-(2**30), 2**30 - 1)),
        (1, False, (0, 1)),
        (3, False, (0, 7)),
        (31, False, (0, 2**31 - 1)),
        (1, True, (-1, 1)),
    ],
)
def test_the_levels_are_the_papers(bits: int, signed: bool, levels: tuple[int, int]) -> None:
    quantizer = lsq(bits, "input", 0.1, signed=signed)
    assert quantizer.levels == levels
    assert quantizer.signed == signed


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("signed", [True, False])
def test_all_levels_and_no_others_are_taken(bits: int, signed: bool) -> None:
    quantizer = lsq(bits, "input", 0.25, signed=signed)
    low, high = quantizer.levels
    found = quantizer(torch.linspace(-9, 9, 5001, dtype=torch.float64)[None]).unique()
    whole = [-1.0, 1.0] if (bits, signed) == (1, True) else [float(n) for n in range(low, high + 1)]
    assert (found / quantizer.step_size()).tolist() == whole
    assert len(whole) == 2**bits


def test_the_gradient_of_clipped_numbers_is_that_of_finite_differences() -> None:
    """Beyond the clips y = -Qn s and Qp s: the only place where rounding has a slope that is true."""
    x = torch.tensor([-7.0, -3.0, 5.0, 9.0, 30.0], dtype=torch.float64)
    for bits in (1, 2, 3):
        quantizer = lsq(bits, "weight", 0.5)
        scale = 1 / math.sqrt(len(x) * quantizer.levels[1])

        def true(step: Tensor, quantizer: LSQ = quantizer, scale: float = scale) -> Tensor:
            return torch.func.functional_call(quantizer, {"step": step}, (x,)) / scale

        (slope,) = torch.autograd.grad(true(quantizer.step).sum(), quantizer.step)
        with torch.no_grad():
            wanted = (true(quantizer.step + 1e-6).sum() - true(quantizer.step - 1e-6).sum()) / 2e-6 * scale
        assert float(slope) == pytest.approx(float(wanted), rel=1e-8)


def test_one_signed_bit_is_a_sign_with_a_scale() -> None:
    """y = s sign(x); dy/ds = sign(x) - x / s inside, dy/dx = 1 inside (Rastegari et al., 2016, for the levels)."""
    quantizer = lsq(1, "weight", 0.5)
    x = torch.tensor([-2.0, -0.4, 0.1, 0.3, 7.0], dtype=torch.float64, requires_grad=True)
    y = quantizer(x)
    assert y.tolist() == [-0.5, -0.5, 0.5, 0.5, 0.5]
    dx, ds = torch.autograd.grad(y, (x, quantizer.step), torch.tensor([1, 10, 100, 1000, 10000]).double())
    assert dx.tolist() == [0, 10, 100, 1000, 0]
    wanted = -1 + 10 * (-1 + 0.8) + 100 * (1 - 0.2) + 1000 * (1 - 0.6) + 10000
    assert float(ds) == pytest.approx(wanted / math.sqrt(5), rel=1e-12)


def test_it_starts_where_the_paper_says() -> None:
    x = random_images(500)
    for bits in (2, 3, 8):
        quantizer = LSQ(bits, "weight").double()
        assert quantizer(x).isnan().all()
        quantizer.start(Tally(x))
        assert quantizer.step.item() == pytest.approx(
            2 * float(x.abs().mean()) / math.sqrt(2 ** (bits - 1) - 1), rel=1e-9
        )
    quantizer = LSQ(1, "weight").double()
    quantizer.start(Tally(x))
    assert quantizer.step.item() == pytest.approx(float(x.abs().mean()), rel=1e-9)
    steps = torch.linspace(0.5, 1.5, 1001, dtype=torch.float64) * quantizer.step.detach()
    errors = (x.abs() - steps[:, None]).square().mean(1)
    assert int(errors.argmin()) == 500


def test_an_input_starts_for_normal_numbers_and_signed_until_it_has_seen_none_below_zero() -> None:
    fresh, seen = LSQ(3, "input").double(), LSQ(3, "input").double()
    seen.start(Tally(random_images(200_000)))
    assert fresh.signed
    assert seen.signed
    assert fresh.step.item() == pytest.approx(seen.step.item(), rel=1e-2)
    seen.start(Tally(random_images(1000).relu()))
    assert seen.levels == (0, 7)
    again = LSQ(3, "input").double()
    again.load_state_dict(seen.state_dict())
    assert again.levels == (0, 7)
    assert torch.equal(again.step, seen.step)


def test_a_weight_stays_signed() -> None:
    quantizer = LSQ(3, "weight")
    quantizer.start(Tally(torch.rand(10)))
    assert quantizer.levels == (-4, 3)


def test_numbers_that_are_all_zero_leave_a_usual_step() -> None:
    quantizer = LSQ(3, "weight")
    quantizer.start(Tally(torch.zeros(10)))
    assert quantizer.step.item() == pytest.approx(2 * math.sqrt(2 / math.pi) / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize("step", [0.0, -0.0, 1e-45, 1e-30, -1e-30, 1e30])
@pytest.mark.parametrize("bits", [1, 2, 8])
def test_everything_is_finite_at_any_step(bits: int, step: float) -> None:
    quantizer = LSQ(bits, "input")
    quantizer.step.data.fill_(step)
    x = torch.tensor([[-3.0, 0.0, 1e-38, 2.0, 1e30]], requires_grad=True)
    y = quantizer(x)
    y.sum().backward()
    assert quantizer.step_size() > 0
    for tensor in (y, x.grad, quantizer.step.grad):
        assert tensor is not None
        assert tensor.isfinite().all()


def test_the_sign_of_the_parameter_does_not_matter() -> None:
    """s = |step|: the gradient turns with the sign, so that a step over zero comes back."""
    x, results = random_images(50), []
    for sign in (1, -1):
        quantizer = lsq(3, "weight", sign * 0.3)
        y = quantizer(x)
        (gradient,) = torch.autograd.grad(y.square().sum(), quantizer.step)
        results.append((y, sign * gradient))
    assert_close(results[0], results[1], rtol=0, atol=0)


def test_autocast_rounds_in_float32() -> None:
    """8 bits of a number around 100: in bf16 itself, x / s would be off by a level."""
    quantizer = LSQ(8, "input")
    quantizer.step.data.fill_(0.7)
    x = (100 * torch.rand(1, 1000, generator=torch.Generator().manual_seed(0))).bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = quantizer(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, quantizer(x.float()).bfloat16())
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16


def test_a_gradient_of_the_gradient_is_refused() -> None:
    quantizer, x = lsq(2, "weight", 0.5), random_images(4).requires_grad_()
    (gradient,) = torch.autograd.grad(quantizer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("bits", [0, 32, -3, 2.0, True, "4"])
def test_bits_outside_are_refused(bits: object) -> None:
    with pytest.raises(ValueError, match=r"^a quantizer rounds to 1 to 31 bits, and 32 are float; not "):
        LSQ(bits, "weight")  # type: ignore[arg-type]


def test_an_unknown_operand_is_refused() -> None:
    with pytest.raises(ValueError, match="'weight' or of an 'input'; not of 'bias'"):
        LSQ(4, "bias")  # type: ignore[arg-type]
