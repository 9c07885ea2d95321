"""The weighted sum of batch-normalized products against its plain composition."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from nas.supernet import image, rows
from nas.supernet.normalized_sum import normalized_sum
from tests.contracts import EXACT, random_images

EPS = 1e-5
TINY = (1, 1, 2)
"""Images of two pixels in all."""


class Parts(NamedTuple):
    """The arguments of `normalized_sum`."""

    base: Tensor
    features: list[Tensor]
    weights: list[Tensor]
    mixtures: list[Tensor]

    def tensors(self) -> list[Tensor]:
        return [self.base, *self.features, *self.weights, *self.mixtures]

    def single(self) -> "Parts":
        """The same leaves in float32."""
        base, *others = [tensor.detach().float().requires_grad_() for tensor in self.tensors()]
        count = len(self.features)
        return Parts(base, others[:count], others[count : 2 * count], others[2 * count :])


def parts(
    targets: int, features: int, blocks: int, channels: int, inputs: int, images: tuple[int, int, int] = (2, 3, 4)
) -> Parts:
    """Leaves in float64; `images` are N, H and W, `inputs` the channels of a block."""
    count, height, width = images
    edges, numbers = targets * blocks, range(features)
    return Parts(
        random_images(targets, count * height * width, channels).requires_grad_(),
        [feature(count, edges * inputs, height, width, seed=10 + number) for number in numbers],
        [random_images(edges, channels, inputs, seed=20 + number).requires_grad_() for number in numbers],
        [random_images(targets, blocks, seed=30 + number).requires_grad_() for number in numbers],
    )


def feature(*shape: int, seed: int) -> Tensor:
    """A channels-last leaf."""
    return random_images(*shape, seed=seed).contiguous(memory_format=torch.channels_last).requires_grad_()


def composed(
    base: Tensor, features: Sequence[Tensor], weights: Sequence[Tensor], mixtures: Sequence[Tensor], eps: float
) -> Tensor:
    """Every product, its norm and its share, one after the other."""
    sums = list(base)
    for x, weight, mixture in zip(features, weights, mixtures, strict=True):
        blocks = rows(x).split(weight.shape[-1], dim=1)
        for number, (block, kernel, share) in enumerate(zip(blocks, weight, mixture.flatten(), strict=True)):
            normalized = F.batch_norm(block @ kernel.T, None, None, training=True, eps=eps)
            sums[number // mixture.shape[1]] = sums[number // mixture.shape[1]] + share * normalized
    return torch.stack(sums)


def assert_equals_composition(given: Parts, eps: float = EPS) -> None:
    """The sums, and the gradient of all that asks for one."""
    wanted, found = composed(*given, eps), normalized_sum(*given, eps)
    assert_close(found, wanted, **EXACT)
    upstream = random_images(*wanted.shape, seed=3)
    asked = [tensor for tensor in given.tensors() if tensor.requires_grad]
    gradients = [torch.autograd.grad(y, asked, upstream) for y in (found, wanted)]
    assert_close(gradients[0], gradients[1], **EXACT)


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize(("channels", "inputs"), [(4, 4), (5, 2), (2, 5), (3, 1), (1, 3), (1, 1)])
def test_sums_and_gradients_are_those_of_the_composition(
    targets: int, features: int, blocks: int, channels: int, inputs: int
) -> None:
    assert_equals_composition(parts(targets, features, blocks, channels, inputs))


@pytest.mark.parametrize(("blocks", "inputs"), [(6, 4), (5, 8), (2, 16), (7, 3), (2, 17)])
def test_narrow_blocks_that_are_multiplied_together_stay_apart(blocks: int, inputs: int) -> None:
    assert_equals_composition(parts(2, 2, blocks, 3, inputs))


@pytest.mark.parametrize("images", [TINY, (2, 1, 1), (1, 2, 2), (3, 1, 1)])
def test_a_few_pixels_are_a_batch(images: tuple[int, int, int]) -> None:
    for inputs in (1, 3):
        assert_equals_composition(parts(2, 2, 2, 3, inputs, images))


@pytest.mark.parametrize("eps", [1e-3, 1.0])
def test_eps_is_added_to_the_variance(eps: float) -> None:
    assert_equals_composition(parts(2, 2, 1, 3, 2), eps)


@pytest.mark.parametrize("kind", ["base", "features", "weights", "mixtures"])
@pytest.mark.parametrize("frozen", [slice(None), slice(1), slice(1, None)], ids=["all", "first", "others"])
def test_what_asks_for_no_gradient_changes_no_other(kind: str, frozen: slice) -> None:
    given = parts(2, 3, 2, 3, 2)
    for tensor in [given.base] if kind == "base" else getattr(given, kind)[frozen]:
        tensor.requires_grad_(False)
    assert_equals_composition(given)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "ignore::DeprecationWarning")
def test_compiled_in_one_piece_it_is_the_same() -> None:
    """The compiler of PyTorch 2.11 gave zeros for all gradients where the sum came from an operation in place."""
    torch.compiler.reset()
    given = parts(2, 2, 2, 3, 2)
    compiled = torch.compile(normalized_sum, backend="aot_eager", dynamic=False, fullgraph=True)
    wanted, found = composed(*given, EPS), compiled(*given, EPS)
    assert_close(found, wanted, **EXACT)
    upstream = random_images(*wanted.shape, seed=3)
    gradients = [torch.autograd.grad(y, given.tensors(), upstream) for y in (found, wanted)]
    assert_close(gradients[0], gradients[1], **EXACT)


def test_features_are_left_as_they_were() -> None:
    for given in (parts(2, 1, 1, 3, 2), parts(1, 1, 1, 3, 2), parts(2, 2, 1, 3, 2)):
        before = [tensor.detach().clone() for tensor in given.tensors()]
        normalized_sum(*given, EPS).sum().backward()
        assert_close([tensor.detach() for tensor in given.tensors()], before, rtol=0, atol=0)


def test_no_weight_leaves_the_base() -> None:
    given = parts(2, 2, 2, 3, 2)
    with torch.no_grad():
        for mixture in given.mixtures:
            mixture.zero_()
    assert torch.equal(normalized_sum(*given, EPS), given.base)
    assert_equals_composition(given)
    leaves = [*given.mixtures, *given.features, *given.weights]
    gradients = torch.autograd.grad(normalized_sum(*given, EPS).square().sum(), leaves)
    assert all(gradient.ne(0).all() for gradient in gradients[:2])
    assert not any(gradient.any() for gradient in gradients[2:])


def test_gradients_are_those_of_finite_differences() -> None:
    given = parts(2, 2, 1, 2, 3, (1, 2, 3))

    def of(base: Tensor, *others: Tensor) -> Tensor:
        return normalized_sum(base, others[:2], others[2:4], others[4:], 1e-2)

    assert torch.autograd.gradcheck(of, tuple(given.tensors()))


def test_upstream_gradients_may_have_any_strides() -> None:
    given = parts(2, 2, 2, 3, 2)
    wanted, found = composed(*given, EPS), normalized_sum(*given, EPS)
    weights = random_images(2, 1, 3, seed=3)
    for upstream in (weights.expand_as(wanted), random_images(2, 3, 24, seed=3).transpose(1, 2)):
        gradients = [torch.autograd.grad(y, given.tensors(), upstream, retain_graph=True) for y in (found, wanted)]
        assert_close(gradients[0], gradients[1], **EXACT)


def test_gradients_of_features_are_channels_last() -> None:
    given = parts(2, 2, 2, 3, 2)
    upstream = random_images(2, 24, 3, seed=3)
    for gradient in torch.autograd.grad(normalized_sum(*given, EPS), given.features, upstream):
        assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_a_gradient_of_the_gradient_is_refused() -> None:
    given = parts(1, 1, 1, 2, 2)
    (slope,) = torch.autograd.grad(normalized_sum(*given, EPS).square().sum(), given.mixtures, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize("inputs", [1, 4])
@pytest.mark.parametrize(("offset", "error"), [(3.0, 3e-5), (-10.0, 5e-4), (100.0, 0.03)])
def test_in_float32_an_offset_costs_as_much_as_documented(inputs: int, offset: float, error: float) -> None:
    """The mean of the squares minus the square of the mean loses digits with the square of the offset."""
    given = parts(2, 1, 2, 5, inputs, (4, 6, 6))
    exact = composed(*given, EPS)
    single = given._replace(features=[x + offset for x in given.features]).single()
    found = normalized_sum(*single, EPS)
    assert_close(found.double(), exact, rtol=0, atol=error)


def test_rounding_never_makes_a_variance_negative() -> None:
    given = parts(2, 1, 2, 5, 4, (4, 6, 6))
    far = given._replace(features=[0.01 * x + 1000 for x in given.features]).single()
    assert normalized_sum(*far, EPS).isfinite().all()


@pytest.mark.parametrize("value", [0.0, 1.0, 10.0])
def test_a_constant_feature_gives_finite_sums_and_gradients(value: float) -> None:
    given = parts(2, 2, 1, 3, 4, (4, 3, 3))
    given = given._replace(features=[torch.full_like(x, value) for x in given.features]).single()
    found = normalized_sum(*given, EPS)
    assert_close(found, given.base, rtol=0, atol=0.01)
    for gradient in torch.autograd.grad(found.square().sum(), given.tensors()):
        assert gradient.isfinite().all()


def test_float32_is_near_float64() -> None:
    given = parts(3, 2, 2, 4, 4, (4, 5, 5))
    wanted = normalized_sum(*given, EPS)
    single = given.single()
    found = normalized_sum(*single, EPS)
    assert found.dtype == torch.float32
    assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    upstream = random_images(*wanted.shape, seed=3)
    gradients = torch.autograd.grad(found, single.tensors(), upstream.float())
    for got, exact in zip(gradients, torch.autograd.grad(wanted, given.tensors(), upstream), strict=True):
        assert (got.double() - exact).norm() < 1e-5 * exact.norm()


def test_features_in_bf16_are_summed_in_bf16_and_their_statistics_taken_in_float32() -> None:
    """bf16 keeps 8 bits: 0.4 % of the size of the terms of a sum, which the sum itself may be smaller than."""
    given = parts(2, 2, 1, 4, 3, (4, 5, 5)).single()
    rounded = given._replace(features=[x.detach().bfloat16().requires_grad_() for x in given.features])
    wanted = composed(*given, EPS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = normalized_sum(*rounded, EPS)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, normalized_sum(*rounded, EPS))
    assert (found - wanted).norm() < 0.01 * wanted.norm()
    upstream = random_images(*wanted.shape, seed=3).float()
    gradients = torch.autograd.grad(found, rounded.tensors(), upstream.bfloat16())
    exact = torch.autograd.grad(wanted, given.tensors(), upstream)
    for tensor, got, right in zip(rounded.tensors(), gradients, exact, strict=True):
        assert got.dtype == tensor.dtype
        assert (got - right).norm() < 0.05 * right.norm()


def test_rows_and_images_are_views_of_each_other() -> None:
    x = random_images(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    pixels = rows(x)
    assert pixels.shape == (40, 3)
    assert torch.equal(pixels[1 * 20 + 2 * 5 + 3], x[1, :, 2, 3])
    assert pixels.data_ptr() == x.data_ptr()
    back = image(pixels, 2, 4, 5)
    assert torch.equal(back, x)
    assert back.data_ptr() == x.data_ptr()
    assert back.is_contiguous(memory_format=torch.channels_last)
