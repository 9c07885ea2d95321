"""Every operator against a slow formulation."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from nas.supernet import Batched, Fan
from search_spaces.operators import (
    EVALUATION,
    OPERATORS,
    SEARCH,
    FactorizedReduce,
    Normalization,
    Operator,
    is_parameter_free,
    relu_conv_norm,
)
from tests.contracts import EXACT, OperatorContract, random_images
from tests.search_spaces import slow

SIZES = [(6, 6), (5, 7), (6, 5)]
FORMS = pytest.mark.parametrize("norm", [SEARCH, EVALUATION], ids=["search", "evaluation"])
STRIDES = pytest.mark.parametrize("stride", [1, 2])
EVERY_SIZE = pytest.mark.parametrize("size", SIZES)


class TestOperators(OperatorContract):
    @pytest.fixture(params=OPERATORS.values(), ids=OPERATORS)
    def operator(self, request: pytest.FixtureRequest) -> Operator:
        return request.param


def built(make: functools.partial[nn.Module] | Operator, *arguments: object) -> nn.Module:
    """A module in float64 whose scales and shifts, if any, are not 1 and 0."""
    torch.manual_seed(0)
    module = make(*arguments).double()
    for norm in slow.norms_of(module):
        if norm.affine:
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return module


def test_the_catalogue_has_the_operators_of_darts_and_nasnet() -> None:
    # Liu et al., 2019: the eight primitives in this order; the other two occur in NASNet and AmoebaNet cells
    darts = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3"]
    assert [name for name in OPERATORS if not name.endswith(("7x7", "1x7"))] == [*darts, "dil_conv_5x5"]
    assert {name for name in OPERATORS if name.endswith(("7x7", "1x7"))} == {"sep_conv_7x7", "conv_7x1_1x7"}


@STRIDES
@FORMS
def test_none_is_zero(stride: int, norm: Normalization) -> None:
    x = torch.full((2, 4, 5, 6), torch.inf)
    y = OPERATORS["none"](4, stride, norm)(x)
    assert torch.equal(y, torch.zeros(2, 4, 5, 6)[:, :, ::stride, ::stride])


@pytest.mark.parametrize("kind", ["max", "avg"])
@STRIDES
@EVERY_SIZE
def test_pooling(kind: str, stride: int, size: tuple[int, int]) -> None:
    x = random_images(3, 4, *size)
    wanted = slow.pooling(x, stride, kind)
    name = f"{kind}_pool_3x3"
    assert_close(OPERATORS[name](4, stride, EVALUATION)(x), wanted, **EXACT)
    normed = OPERATORS[name](4, stride, SEARCH)
    assert_close(normed(x), slow.batch_norm(wanted, slow.norms_of(normed)[0]), **EXACT)
    assert not slow.norms_of(OPERATORS[name](4, stride, EVALUATION))


def test_padding_is_not_averaged() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    y = OPERATORS["avg_pool_3x3"](1, 1, EVALUATION)(x)
    assert y[0, 0, 0, 0] == (0 + 1 + 4 + 5) / 4
    assert y[0, 0, 0, 1] == (0 + 1 + 2 + 4 + 5 + 6) / 6
    assert y[0, 0, 1, 1] == 5.0


@FORMS
def test_a_skip_of_stride_one_is_the_identity(norm: Normalization) -> None:
    x = random_images(3, 4, 5, 5)
    assert OPERATORS["skip_connect"](4, 1, norm)(x) is x


@FORMS
def test_a_skip_of_stride_two_is_a_factorized_reduction(norm: Normalization) -> None:
    skip = OPERATORS["skip_connect"](4, 2, norm)
    assert isinstance(skip, FactorizedReduce)
    assert slow.norms_of(skip)[0].affine == norm.affine


def half(x: Tensor, weight: Tensor) -> Tensor:
    """A 1x1 convolution of stride 2."""
    return slow.convolution(x, weight, stride=(2, 2))


@FORMS
@pytest.mark.parametrize(("channels", "outputs"), [(4, 4), (3, 6), (4, 5)])
def test_a_factorized_reduction_of_even_sizes_is_that_of_the_authors(
    norm: Normalization, channels: int, outputs: int
) -> None:
    module = built(FactorizedReduce, channels, outputs, norm)
    straight, shifted = slow.weights_of(module)
    assert [len(straight), len(shifted)] == [outputs - outputs // 2, outputs // 2]
    x = random_images(3, channels, 6, 8)
    positive = x.clamp(min=0)
    y = torch.cat([half(positive, straight), half(positive[:, :, 1:, 1:], shifted)], dim=1)
    assert_close(module(x), slow.batch_norm(y, slow.norms_of(module)[0]), **EXACT)


@pytest.mark.parametrize("size", [(5, 7), (5, 6), (6, 7), (1, 1)])
def test_a_factorized_reduction_of_odd_sizes_sees_zeros_at_the_far_end(size: tuple[int, int]) -> None:
    module = built(FactorizedReduce, 4, 4, SEARCH)
    straight, shifted = slow.weights_of(module)
    x = random_images(3, 4, *size)
    far = torch.zeros(3, 4, size[0] + size[0] % 2, size[1] + size[1] % 2, dtype=torch.float64)
    far[:, :, : size[0], : size[1]] = x.clamp(min=0)
    y = torch.cat([half(x.clamp(min=0), straight), half(far[:, :, 1:, 1:], shifted)], dim=1)
    assert_close(module(x), slow.batch_norm(y, slow.norms_of(module)[0]), **EXACT)


def test_a_factorized_reduction_needs_two_outputs() -> None:
    with pytest.raises(ValueError, match=r"^a factorized reduction to 1 channel has none for its second half; give 2$"):
        FactorizedReduce(4, 1, SEARCH)


@FORMS
def test_relu_conv_norm(norm: Normalization) -> None:
    module, x = built(relu_conv_norm, 3, 5, norm), random_images(3, 3, 4, 4)
    y = torch.einsum("nihw,oi->nohw", x.clamp(min=0), slow.weights_of(module)[0][:, :, 0, 0])
    assert_close(module(x), slow.batch_norm(y, slow.norms_of(module)[0]), **EXACT)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@STRIDES
@FORMS
@EVERY_SIZE
def test_separable_convolutions(kernel: int, stride: int, norm: Normalization, size: tuple[int, int]) -> None:
    module = built(OPERATORS[f"sep_conv_{kernel}x{kernel}"], 4, stride, norm)
    y = x = random_images(3, 4, *size)
    weights = slow.weights_of(module)
    assert [tuple(weight.shape) for weight in weights] == 2 * [(4, 1, kernel, kernel), (4, 4, 1, 1)]
    for repetition, step in enumerate((stride, 1)):
        depthwise, pointwise = weights[2 * repetition : 2 * repetition + 2]
        padding = ((kernel - 1) // 2,) * 2
        y = slow.convolution(y.clamp(min=0), depthwise, stride=(step, step), padding=padding, groups=4)
        y = slow.batch_norm(slow.convolution(y, pointwise), slow.norms_of(module)[repetition])
    assert_close(module(x), y, **EXACT)


@pytest.mark.parametrize("kernel", [3, 5])
@STRIDES
@FORMS
@EVERY_SIZE
def test_dilated_convolutions(kernel: int, stride: int, norm: Normalization, size: tuple[int, int]) -> None:
    module, x = built(OPERATORS[f"dil_conv_{kernel}x{kernel}"], 4, stride, norm), random_images(3, 4, *size)
    depthwise, pointwise = slow.weights_of(module)
    padding = (kernel - 1, kernel - 1)
    assert depthwise.shape == (4, 1, kernel, kernel)
    y = slow.convolution(x.clamp(min=0), depthwise, stride=(stride, stride), padding=padding, dilation=2, groups=4)
    y = slow.convolution(y, pointwise)
    assert_close(module(x), slow.batch_norm(y, slow.norms_of(module)[0]), **EXACT)


@STRIDES
@FORMS
@EVERY_SIZE
def test_conv_7x1_1x7(stride: int, norm: Normalization, size: tuple[int, int]) -> None:
    module, x = built(OPERATORS["conv_7x1_1x7"], 4, stride, norm), random_images(3, 4, *size)
    across, down = slow.weights_of(module)
    assert (tuple(across.shape), tuple(down.shape)) == ((4, 4, 1, 7), (4, 4, 7, 1))
    y = slow.convolution(x.clamp(min=0), across, stride=(1, stride), padding=(0, 3))
    y = slow.convolution(y, down, stride=(stride, 1), padding=(3, 0))
    assert_close(module(x), slow.batch_norm(y, slow.norms_of(module)[0]), **EXACT)


@pytest.mark.parametrize("name", OPERATORS)
@STRIDES
def test_no_operator_writes_to_its_input(name: str, stride: int) -> None:
    x = random_images(3, 4, 6, 6)
    given = x.clone()
    OPERATORS[name](4, stride, EVALUATION).double()(x)
    assert torch.equal(x, given)


class StridedPointwise(TorchDispatchMode):
    """Counts 1x1 convolutions with a stride."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            _, weight, _, stride, *_ = args
            self.count += weight.shape[2:].numel() == 1 and max(stride) > 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", OPERATORS)
def test_no_pointwise_convolution_has_a_stride(name: str) -> None:
    """Its gradient corrupts the heap on CPUs with AVX2 and without AVX-512, in PyTorch 2.13."""
    operator, x = OPERATORS[name](4, 2, SEARCH), torch.rand(2, 4, 6, 6)
    with StridedPointwise() as strided:
        operator(x)
        if isinstance(operator, Batched):
            stacked = {name: parameter[None] for name, parameter in operator.named_parameters()}
            operator.batched(Fan(x.contiguous(memory_format=torch.channels_last), 1, 1), stacked)
    assert strided.count == 0
    with StridedPointwise() as strided:
        torch.nn.functional.conv2d(x, torch.rand(4, 4, 1, 1), stride=2)
    assert strided.count == 1


def test_what_has_nothing_to_learn() -> None:
    free = {name for name, operator in OPERATORS.items() if is_parameter_free(operator)}
    assert free == {"none", "max_pool_3x3", "avg_pool_3x3", "skip_connect"}
    assert is_parameter_free(lambda channels, stride, norm: nn.Tanh())
    assert not is_parameter_free(lambda channels, stride, norm: nn.Conv2d(channels, channels, 1))


@pytest.mark.parametrize("norm", [SEARCH, EVALUATION, Normalization(affine=True, running=False, after_pooling=True)])
def test_a_recipe_makes_the_norm_it_says(norm: Normalization) -> None:
    layer = norm(6)
    assert layer.num_features == 6
    assert layer.affine is norm.affine
    assert (layer.running_mean is not None) is norm.running


def test_the_two_forms() -> None:
    assert Normalization(affine=False, running=False, after_pooling=True) == SEARCH
    assert Normalization(affine=True, running=True, after_pooling=False) == EVALUATION
