"""A mixture of bit widths against its quantizers one by one."""

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nas.supernet import LSQ, NICE, MixedBits, Operand, Tally, bit_widths
from tests.contracts import EXACT, MixedModuleContract, random_images


def mixture(bits: Sequence[int], operand: Operand, x: Tensor, kind: type[LSQ] | type[NICE] = LSQ) -> MixedBits:
    mixed = MixedBits(bits, lambda b: kind(b, operand)).double().eval()
    for number, quantizer in enumerate(part for part in mixed.quantizers if isinstance(part, kind)):
        quantizer.start(Tally(x * (1 + number / 10)))
    return mixed


class TestMixedBits(MixedModuleContract):
    @pytest.fixture(params=[(LSQ, "weight"), (LSQ, "input"), (NICE, "weight")], ids=str)
    def mixed(self, request: pytest.FixtureRequest, x: Tensor) -> MixedBits:
        kind, operand = request.param
        return mixture((2, 32, 4, 3), operand, x, kind)

    @pytest.fixture
    def x(self) -> Tensor:
        return random_images(3, 2, 4, 5)


@pytest.mark.parametrize("operand", ["weight", "input"])
@pytest.mark.parametrize("bits", [(1, 2, 4, 8), (32, 1, 3), (5,), (32,)])
@pytest.mark.parametrize("negative", [True, False])
def test_the_fused_sum_is_that_of_separate_quantizers(bits: tuple[int, ...], operand: Operand, negative: bool) -> None:
    x = random_images(3, 2, 4, 5) if negative else random_images(3, 2, 4, 5).abs()
    x.requires_grad_()
    mixed = mixture(bits, operand, x.detach())
    weights = torch.linspace(0.3, -0.8, len(bits), dtype=torch.float64, requires_grad=True)
    found = mixed(x, weights)
    wanted = sum(weight * part(x) for weight, part in zip(weights, mixed.quantizers, strict=True))
    assert_close(found, wanted, **EXACT)
    leaves, upstream = [x, weights, *mixed.parameters()], random_images(3, 2, 4, 5, seed=1)
    gradients = [torch.autograd.grad(y, leaves, upstream) for y in (found, wanted)]
    assert_close(gradients[0], gradients[1], **EXACT)


def kept(function: object, x: Tensor) -> int:
    """How many tensors as large as x a forward pass keeps for the backward pass."""
    places: set[int] = set()

    def pack(tensor: Tensor) -> Tensor:
        if tensor.numel() >= x.numel():
            places.add(tensor.untyped_storage().data_ptr())
        held.append(tensor)  # so that no place is used twice
        return tensor

    held: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()  # type: ignore[operator]
    return len(places)


def test_however_many_candidates_keep_one_tensor() -> None:
    x = random_images(3, 2, 4, 5).requires_grad_()
    weights = torch.rand(4, dtype=torch.float64, requires_grad=True)
    mixed, parts = mixture((2, 3, 4, 8), "input", x.detach()), mixture((2, 3, 4, 8), "input", x.detach()).quantizers
    assert kept(lambda: mixed(x, weights), x) == 1
    assert kept(lambda: sum(w * part(x) for w, part in zip(weights, parts, strict=True)), x) == 5
    with_float = mixture((2, 3, 4, 32), "input", x.detach())
    assert kept(lambda: with_float(x, weights), x) == 1


def test_an_input_without_gradient_trains_the_rest() -> None:
    x = random_images(3, 2, 4, 5)
    mixed, weights = mixture((2, 4), "input", x), torch.rand(2, dtype=torch.float64, requires_grad=True)
    gradients = torch.autograd.grad(mixed(x, weights).square().sum(), [weights, *mixed.parameters()])
    again = mixed(x.clone().requires_grad_(), weights)
    assert_close(gradients, torch.autograd.grad(again.square().sum(), [weights, *mixed.parameters()]), **EXACT)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
def test_the_precision_is_that_of_the_tensor(precision: torch.dtype) -> None:
    x = random_images(3, 8).to(precision).requires_grad_()
    mixed = mixture((2, 32, 4), "input", x.detach()).float()
    for asked in (torch.float32, torch.float64):
        weights = torch.full((3,), 0.25, dtype=asked, requires_grad=True)
        y = mixed(x, weights)
        assert y.dtype == precision
        dx, dweights = torch.autograd.grad(y.sum(), (x, weights))
        assert (dx.dtype, dweights.dtype) == (precision, asked)


def test_candidates_are_bits_and_32_is_the_tensor_itself() -> None:
    x = random_images(3, 2)
    mixed = mixture((4, 32), "input", x)
    assert mixed.candidates == (4, 32)
    assert mixed.kind == "bits"
    assert torch.equal(mixed.select(32)(x), x)
    assert mixed.select(4) is mixed.quantizers[0]
    twin = copy.deepcopy(mixed)
    assert torch.equal(twin(x, torch.tensor([0.5, 0.5])), mixed(x, torch.tensor([0.5, 0.5])))


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("kind", [LSQ, NICE])
def test_weights_must_be_as_many_as_bit_widths(count: int, kind: type[LSQ] | type[NICE]) -> None:
    with pytest.raises(ValueError, match="zip"):
        mixture((2, 3, 4), "input", torch.randn(2, 3), kind)(torch.randn(2, 3), torch.ones(count))


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        ((), "here has no bit widths: give at least one from 1 to 32, such as 4"),
        ((2, 33), "a bit width of here is 33: give whole numbers from 1 to 32 (float)"),
        ((0,), "a bit width of here is 0: give whole numbers from 1 to 32 (float)"),
        ((2.5,), "a bit width of here is 2.5: give whole numbers from 1 to 32 (float)"),
        ((4.0,), "a bit width of here is 4.0: give whole numbers from 1 to 32 (float)"),
        ((True,), "a bit width of here is True: give whole numbers from 1 to 32 (float)"),
        (("8",), "a bit width of here is '8': give whole numbers from 1 to 32 (float)"),
        ((4, 2, 4), "the bit widths of here are (4, 2, 4): give each once"),
    ],
)
def test_bit_widths_that_cannot_be(bits: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        bit_widths(bits, "here")
    assert str(caught.value) == message


def test_quantizers_of_several_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="of several classes, LSQ, NICE: give one class"):
        MixedBits((2, 4), lambda bits: LSQ(bits, "weight") if bits == 2 else NICE(bits, "weight"))


def test_a_mixture_shows_its_bits() -> None:
    assert "LSQ(bits=3, operand=weight)" in repr(nn.Sequential(MixedBits((3, 32), lambda b: LSQ(b, "weight"))))
