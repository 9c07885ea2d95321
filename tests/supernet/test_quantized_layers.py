"""Layers whose input and weight pass through modules first."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from nas.supernet import (
    LSQ,
    NICE,
    LendingNetwork,
    Lent,
    MixedBits,
    MixedWidth,
    QuantizedConv2d,
    QuantizedLinear,
    Tally,
    calibrate,
    widths_of,
)
from tests.contracts import EXACT, random_images


def convolutions() -> list[nn.Conv2d]:
    return [
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(4, 6, (3, 1), stride=(2, 1), padding=(1, 0), bias=False),
        nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=4),
        nn.Conv2d(4, 6, 3, padding="same", padding_mode="circular"),
        nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    ]


@pytest.mark.parametrize("number", range(5))
def test_without_modules_it_is_the_convolution(number: int) -> None:
    layer, x = convolutions()[number].double(), random_images(2, 4, 7, 8)
    made = QuantizedConv2d.of(layer)
    assert torch.equal(made(x), layer(x))
    assert dict(made.named_parameters()).items() == dict(layer.named_parameters()).items()  # the very same objects
    assert list(made.state_dict()) == list(layer.state_dict())
    assert (made.weight_bits, made.input_bits) == (32, 32)


@pytest.mark.parametrize("bias", [True, False])
def test_without_modules_it_is_the_linear_layer(bias: bool) -> None:
    layer, x = nn.Linear(5, 3, bias).double(), random_images(2, 7, 5)
    made = QuantizedLinear.of(layer)
    assert torch.equal(made(x), layer(x))
    assert made.weight is layer.weight
    assert made.bias is layer.bias


@pytest.mark.parametrize("number", range(5))
def test_a_plain_layer_again_is_the_one_that_it_was(number: int) -> None:
    layer, x = convolutions()[number].double().eval(), random_images(2, 4, 7, 8)
    plain = QuantizedConv2d.of(layer, on_input=LSQ(2, "input"), on_weight=LSQ(2, "weight")).plain()
    assert type(plain) is nn.Conv2d
    assert plain.weight is layer.weight
    assert not plain.training
    assert torch.equal(plain(x), layer(x))
    linear = nn.Linear(5, 3, bias=number > 2).double()
    again = QuantizedLinear.of(linear, on_weight=LSQ(2, "weight")).plain()
    assert type(again) is nn.Linear
    assert torch.equal(again(x[0, 0, :, :5]), linear(x[0, 0, :, :5]))


def test_making_one_draws_nothing_and_keeps_the_mode() -> None:
    layer = nn.Conv2d(4, 6, 3).eval()
    layer.weight.requires_grad_(False)
    state = torch.get_rng_state()
    made = QuantizedConv2d.of(layer, on_weight=LSQ(3, "weight"))
    assert torch.equal(torch.get_rng_state(), state)
    assert not made.training
    assert not made.on_weight.training
    assert not made.weight.requires_grad


def test_input_and_weight_are_quantized_each_by_its_own() -> None:
    layer, x = nn.Conv2d(4, 6, 3, padding=1).double(), random_images(2, 4, 5, 5)
    on_input, on_weight = LSQ(2, "input").double(), LSQ(3, "weight").double()
    made = QuantizedConv2d.of(layer, on_input=on_input, on_weight=on_weight)
    assert_close(made(x), F.conv2d(on_input(x), on_weight(layer.weight), layer.bias, padding=1), **EXACT)
    assert (made.input_bits, made.weight_bits) == (2, 3)
    linear = nn.Linear(4, 6).double()
    made = QuantizedLinear.of(linear, on_input=on_input, on_weight=on_weight)
    y = random_images(2, 4)
    assert_close(made(y), F.linear(on_input(y), on_weight(linear.weight), linear.bias), **EXACT)
    assert "(on_weight): LSQ(bits=3, operand=weight)" in repr(made)


def test_a_quantizer_of_the_weight_starts_once() -> None:
    """A derived layer takes over what its quantizer learned."""
    layer, fresh, learned = nn.Linear(4, 6), LSQ(3, "weight"), LSQ(3, "weight")
    learned.step.data.fill_(0.125)
    QuantizedLinear.of(layer, on_weight=fresh)
    QuantizedLinear.of(layer, on_weight=learned)
    assert fresh.step.item() == pytest.approx(2 * layer.weight.abs().mean().item() / 3**0.5, rel=1e-6)
    assert learned.step.item() == 0.125
    unstarted = LSQ(3, "weight")
    QuantizedLinear.of(nn.Linear(4, 6, device="meta"), on_weight=unstarted)
    assert unstarted.step.isnan()


def test_mixed_bits_have_no_one_number() -> None:
    made = QuantizedLinear.of(nn.Linear(4, 6), on_weight=Lent(MixedBits((2, 4), lambda b: LSQ(b, "weight")), "bits"))
    with pytest.raises(ValueError, match=r"^bit widths 2, 4 are mixed here: select one first$"):
        made.weight_bits  # noqa: B018


def test_another_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^only a plain nn.Conv2d can be quantized, not a Conv1d; leave it out$"):
        QuantizedConv2d.of(nn.Conv1d(1, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a QuantizedLinear"):
        QuantizedLinear.of(QuantizedLinear.of(nn.Linear(1, 1)))


@pytest.mark.parametrize("kind", [LSQ, NICE])
@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.0])
@pytest.mark.parametrize(("weight_bits", "input_bits"), [(2, 4), (32, 2), (2, 32), (32, 32)])
def test_a_one_hot_supernet_is_the_derived_quantized_network(
    kind: type[LSQ] | type[NICE], ratio: float, weight_bits: int, input_bits: int
) -> None:
    """Bits of weight and input and the width of what is read: then narrowed by hand, with plain quantizers."""
    bits, ratios = (2, 4, 32), (0.25, 0.5, 1.0)
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3).double(), nn.Conv2d(8, 6, 3).double()
    on_input = MixedBits(bits, lambda b: kind(b, "input"))
    on_weight = MixedBits(bits, lambda b: kind(b, "weight"))
    width = MixedWidth(widths_of(ratios, 8, "0"), torch.arange(8))
    searched = QuantizedConv2d.of(
        second,
        on_input=Lent(on_input, "1/input_bits"),
        on_weight=nn.Sequential(Lent(on_weight, "1/weight_bits"), Lent(width, "0/width")),
    )
    supernet = LendingNetwork(nn.Sequential(first, nn.ReLU(), searched)).double().eval()
    chosen = {"1/input_bits": (bits, input_bits), "1/weight_bits": (bits, weight_bits), "0/width": (ratios, ratio)}
    mixture = {n: torch.tensor([float(c == pick) for c in every]) for n, (every, pick) in chosen.items()}
    x = random_images(2, 3, 8, 8)
    calibrate(supernet, lambda: supernet(x, mixture))

    kept = int(ratio * 8)
    narrow = [nn.Conv2d(3, kept, 3).double(), nn.Conv2d(kept, 6, 3).double()]
    for layer, weight, bias in (
        (narrow[0], first.weight[:kept], first.bias[:kept]),
        (narrow[1], second.weight[:, :kept], second.bias),
    ):
        layer.load_state_dict({"weight": weight, "bias": bias})
    selected = copy.deepcopy((on_input.select(input_bits), on_weight.select(weight_bits)))
    derived = QuantizedConv2d.of(narrow[1], on_input=selected[0], on_weight=selected[1])
    assert (derived.input_bits, derived.weight_bits) == (input_bits, weight_bits)
    network = nn.Sequential(narrow[0], nn.ReLU(), derived).eval()
    with torch.no_grad():
        assert_close(supernet(x, mixture), network(x), **EXACT)


def test_step_sizes_are_trained_with_the_weights() -> None:
    """LSQ's point: the step finds the value that rounds best, which its start is not."""
    w = random_images(1, 2000)
    quantizer = LSQ(2, "weight").double()
    quantizer.start(Tally(w))
    optimizer = torch.optim.SGD([quantizer.step], lr=0.1)
    first = None
    for _ in range(300):
        loss = (quantizer(w) - w).square().sum() / w.numel() ** 0.5
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    steps = torch.linspace(0.2, 3, 1401, dtype=torch.float64)
    errors = torch.stack([(w.div(s).clamp(-2, 1).round() * s - w).square().sum() for s in steps])
    assert loss.item() < 0.9 * first
    assert loss.item() == pytest.approx(errors.min().item() / w.numel() ** 0.5, rel=1e-2)


def test_the_input_is_not_touched() -> None:
    x = random_images(2, 4, 5, 5)
    before: Tensor = x.clone()
    QuantizedConv2d.of(nn.Conv2d(4, 6, 3).double(), on_input=LSQ(1, "input"), on_weight=LSQ(1, "weight").double())(x)
    assert torch.equal(x, before)
