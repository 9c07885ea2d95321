"""Depthwise convolutions of copies against PyTorch's own on the repeated input."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from nas.supernet import Copies, depthwise_conv2d
from tests.contracts import EXACT, random_images

SIZES = [(1, 1), (1, 2), (2, 1), (2, 3), (4, 4), (5, 7), (6, 3), (3, 9), (8, 8)]
BRANCHES = [(3, 1, 1), (5, 1, 1), (5, 2, 1), (3, 1, 2), (3, 2, 2), (5, 2, 3)]
"""(kernel, stride, dilation), one for each way that the backward pass takes."""


def wanted_conv2d(x: Tensor, weight: Tensor, count: int, stride: int, dilation: int) -> Tensor:
    """PyTorch's convolution of the repeated input."""
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x.repeat(1, count, 1, 1), weight, None, stride, padding, dilation, groups=len(weight))


def leaves(size: tuple[int, int], kernel: int, count: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Images of three channels, channels-last, and a kernel for each channel of each copy."""
    x = random_images(2, 3, *size).to(dtype, memory_format=torch.channels_last)
    weight = random_images(3 * count, 1, kernel, kernel, seed=1).to(dtype)
    return x.requires_grad_(), weight.requires_grad_()


def assert_equals_pytorch(
    size: tuple[int, int], kernel: int, count: int, stride: int, dilation: int, dtype: torch.dtype, **tolerance: float
) -> None:
    x, weight = leaves(size, kernel, count, dtype)
    wanted = wanted_conv2d(x, weight, count, stride, dilation)
    found = depthwise_conv2d(Copies(x, count), weight, stride=stride, dilation=dilation)
    upstream = random_images(*wanted.shape, seed=2).to(dtype)
    gradients = [torch.autograd.grad(y, (x, weight), upstream) for y in (found, wanted)]
    for name, got, right in zip(("output", "dx", "dw"), (found, *gradients[0]), (wanted, *gradients[1]), strict=True):
        assert_close(got, right, **tolerance, msg=partial("{} of {} copies of {}: {}".format, name, count, size))
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_it_is_the_convolution_of_pytorch(kernel: int, stride: int, dilation: int) -> None:
    for size in SIZES:
        for count in (1, 3):
            assert_equals_pytorch(size, kernel, count, stride, dilation, torch.float64, **EXACT)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), BRANCHES)
def test_it_is_the_convolution_of_pytorch_on_devices_without_parts(
    kernel: int, stride: int, dilation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.supernet.cpu.SPLIT_ON", set())
    for size in SIZES:
        for count in (1, 3):
            assert_equals_pytorch(size, kernel, count, stride, dilation, torch.float64, **EXACT)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)])
def test_it_is_the_convolution_of_pytorch_in_float32(kernel: int, stride: int, dilation: int) -> None:
    for size in [(4, 4), (5, 7)]:
        assert_equals_pytorch(size, kernel, 3, stride, dilation, torch.float32, rtol=1e-5, atol=1e-5)


def test_copies_lie_one_after_the_other() -> None:
    x = random_images(2, 3, 5, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    for count in (1, 3):
        copies = Copies(x, count)
        assert torch.equal(copies.repeated, x.repeat(1, count, 1, 1))
        assert copies.repeated.is_contiguous(memory_format=torch.channels_last)
        assert not copies.repeated.requires_grad
        assert copies.repeated is copies.repeated


@pytest.mark.parametrize("size", [(6, 4), (5, 7), (1, 2)])
def test_copies_of_every_second_pixel(size: tuple[int, int]) -> None:
    x = random_images(2, 3, *size)
    halved = Copies(x, 2).every_second()
    assert halved.count == 2
    assert torch.equal(halved.x, x[:, :, ::2, ::2])


def test_copies_are_made_once_for_many_convolutions() -> None:
    (x, weight), (_, other) = leaves((5, 7), 3, 3), leaves((5, 7), 5, 3)
    source = Copies(x, 3)
    found = depthwise_conv2d(source, weight) + depthwise_conv2d(source, other, dilation=2)
    wanted = wanted_conv2d(x, weight, 3, 1, 1) + wanted_conv2d(x, other, 3, 1, 2)
    upstream = random_images(*wanted.shape, seed=2)
    gradients = [torch.autograd.grad(y, (x, weight, other), upstream) for y in (found, wanted)]
    assert_close(gradients[0], gradients[1], **EXACT)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), BRANCHES)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("asks", ["input", "weight"])
def test_a_gradient_that_nobody_asks_for_is_not_there(
    kernel: int, stride: int, dilation: int, count: int, asks: str
) -> None:
    x, weight = leaves((5, 7), kernel, count)
    asked, other = (x, weight) if asks == "input" else (weight, x)
    other.requires_grad_(False)
    wanted = wanted_conv2d(x, weight, count, stride, dilation)
    upstream = random_images(*wanted.shape, seed=2)
    (right,) = torch.autograd.grad(wanted, asked, upstream)
    depthwise_conv2d(Copies(x, count), weight, stride=stride, dilation=dilation).backward(upstream)
    assert_close(asked.grad, right, **EXACT)
    assert other.grad is None


def test_without_gradients_nothing_is_recorded() -> None:
    x, weight = leaves((5, 7), 5, 3)
    with torch.no_grad():
        found = depthwise_conv2d(Copies(x, 3), weight)
        assert_close(found, wanted_conv2d(x, weight, 3, 1, 1), **EXACT)
    assert not found.requires_grad


@pytest.mark.parametrize(("kernel", "stride", "dilation"), BRANCHES)
def test_upstream_gradients_may_have_any_strides(kernel: int, stride: int, dilation: int) -> None:
    x, weight = leaves((6, 5), kernel, 2)
    wanted = wanted_conv2d(x, weight, 2, stride, dilation)
    found = depthwise_conv2d(Copies(x, 2), weight, stride=stride, dilation=dilation)
    transposed = random_images(*wanted.transpose(2, 3).shape, seed=2).transpose(2, 3)
    for upstream in (torch.ones(()).double().expand(wanted.shape), transposed):
        gradients = [torch.autograd.grad(y, (x, weight), upstream, retain_graph=True) for y in (found, wanted)]
        assert_close(gradients[0], gradients[1], **EXACT)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), BRANCHES)
def test_a_gradient_of_the_gradient_is_refused(kernel: int, stride: int, dilation: int) -> None:
    x, weight = leaves((4, 4), kernel, 1)
    y = depthwise_conv2d(Copies(x), weight, stride=stride, dilation=dilation)
    (slope,) = torch.autograd.grad((y * y).sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize(("kernel", "stride", "dilation"), BRANCHES)
def test_autocast_rounds_to_bf16_and_keeps_gradients_in_float32(kernel: int, stride: int, dilation: int) -> None:
    """bf16 keeps 8 bits: 0.4 % of the size of the terms of a sum."""
    x, weight = leaves((8, 6), kernel, 3, torch.float32)
    wanted = wanted_conv2d(x, weight, 3, stride, dilation)
    upstream = random_images(*wanted.shape, seed=2).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = depthwise_conv2d(Copies(x, 3), weight, stride=stride, dilation=dilation)
    assert found.dtype == torch.bfloat16
    gradients = torch.autograd.grad(found, (x, weight), upstream.bfloat16())
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    exact = (wanted, *torch.autograd.grad(wanted, (x, weight), upstream))
    for got, right in zip((found, *gradients), exact, strict=True):
        assert (got - right).norm() < 0.02 * right.norm()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [pytest.param(*case, marks=[] if case in ((5, 2, 1), (3, 1, 2)) else pytest.mark.slow) for case in BRANCHES],
)
def test_compiled_it_is_the_same(kernel: int, stride: int, dilation: int) -> None:
    """torch.compile reads `math.lcm(*range(1, 3))` as lcm(1, 3)."""
    torch.compiler.reset()
    x, weight = leaves((8, 8), kernel, 2)

    def run(x: Tensor, weight: Tensor) -> Tensor:
        return depthwise_conv2d(Copies(x, 2), weight, stride=stride, dilation=dilation)

    compiled = torch.compile(run, backend="aot_eager", dynamic=False, fullgraph=True)
    wanted, found = run(x, weight), compiled(x, weight)
    assert_close(found, wanted, **EXACT)
    upstream = random_images(*wanted.shape, seed=2).to(torch.float64)
    gradients = [torch.autograd.grad(y, (x, weight), upstream) for y in (found, wanted)]
    assert_close(gradients[0], gradients[1], **EXACT)
