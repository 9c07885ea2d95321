"""Channels-last images: batch norm on rows of channels, and every second pixel."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from nas.supernet import batch_norm, every_second
from tests.contracts import EXACT, random_images

EPS = 1e-3


class GradientsOfBatchNorm(TorchDispatchMode):
    """Keeps whether the gradients that PyTorch's batch norm is given are contiguous, and how many columns they have."""

    def __init__(self) -> None:
        super().__init__()
        self.contiguous: list[bool] = []
        self.columns: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.native_batch_norm_backward.default:
            self.contiguous.append(args[0].is_contiguous())
            self.columns.append(args[0].shape[1])
        return func(*args, **(kwargs or {}))


def plain(x: Tensor, *, relu: bool) -> Tensor:
    normalized = F.batch_norm(x, None, None, training=True, eps=EPS)
    return normalized.relu() if relu else normalized


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("layout", ["channels first", "channels last", "part of more channels"])
def test_outputs_and_gradients_are_those_of_pytorch_on_images(layout: str, relu: bool) -> None:
    x, wide = random_images(3, 6, 5, 4).requires_grad_(), random_images(3, 9, 5, 4, seed=1)
    if layout == "channels first":
        gradient = wide[:, :6].contiguous()
    else:
        gradient = wide.contiguous(memory_format=torch.channels_last)[:, :6]
        gradient = gradient if layout.startswith("part") else gradient.contiguous(memory_format=torch.channels_last)
    wanted = plain(x, relu=relu)
    with GradientsOfBatchNorm() as seen:
        found = batch_norm(x, EPS, relu=relu)
        dx = torch.autograd.grad(found, x, gradient)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert seen.contiguous == [True]
    assert_close(found, wanted, **EXACT)
    assert_close(dx, torch.autograd.grad(wanted, x, gradient), **EXACT)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    ("channels", "size", "columns"),
    [(4, (4, 6), 16), (24, (3, 2), 48), (3, (4, 4), 48), (16, (3, 2), 16), (4, (3, 3), 4)],
)
def test_rows_of_few_channels_count_as_one(channels: int, size: tuple[int, int], columns: int, relu: bool) -> None:
    """Where they fill sixteen lanes together, and no row is left over."""
    x, upstream = (random_images(1, channels, *size, seed=seed) for seed in range(2))
    x.requires_grad_()
    wanted = plain(x, relu=relu)
    with GradientsOfBatchNorm() as seen:
        found = batch_norm(x, EPS, relu=relu)
        dx = torch.autograd.grad(found, x, upstream)
    assert_close(found, wanted, **EXACT)
    assert_close(dx, torch.autograd.grad(wanted, x, upstream), **EXACT)
    assert seen.columns == [columns]


def test_elsewhere_than_on_a_cpu_the_gradient_is_that_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.supernet.cpu.SPLIT_ON", set())
    x = random_images(1, 4, 4, 4).requires_grad_()
    with GradientsOfBatchNorm() as seen:
        batch_norm(x, EPS).square().sum().backward()
    assert seen.columns == [4]


@pytest.mark.parametrize("channels", [4, 16])
def test_modes_see_the_norm_of_pytorch(channels: int) -> None:
    """As that which synchronizes ranks does."""
    seen = []

    class Mode(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(function)
            return function(*args, **(kwargs or {}))

    x = random_images(1, channels, 2, 2).requires_grad_()
    with Mode():
        found = batch_norm(x, EPS)
    assert F.batch_norm in seen
    assert_close(found, plain(x, relu=False), **EXACT)


def test_a_gradient_of_the_gradient_of_few_channels_is_refused() -> None:
    x = random_images(1, 4, 2, 2).requires_grad_()
    (slope,) = torch.autograd.grad(batch_norm(x, EPS).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_gradients_have_gradients() -> None:
    x = random_images(2, 3, 2, 2).requires_grad_()
    torch.autograd.gradgradcheck(lambda x: batch_norm(x, EPS), x)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_every_second_pixel_has_the_layout_of_the_image(
    layout: torch.memory_format, start: int
) -> None:
    x = random_images(2, 3, 5, 6).contiguous(memory_format=layout).requires_grad_()
    found, wanted = every_second(x, start), x[:, :, start::2, start::2]
    assert torch.equal(found, wanted)
    upstream = random_images(*wanted.shape, seed=1)
    (slope,), (right,) = (torch.autograd.grad(y, x, upstream) for y in (found, wanted))
    assert torch.equal(slope, right)
    assert slope.is_contiguous(memory_format=layout)
