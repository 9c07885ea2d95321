"""Mixture weights lent to a network for one pass."""

import copy
import pickle
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.testing import assert_close

from nas.architecture import ArchParameters, Choice
from nas.optimization import Objective
from nas.supernet import (
    LSQ,
    LendingNetwork,
    Lent,
    MixedBits,
    MixedOp,
    MixedWidth,
    QuantizedConv2d,
    QuantizedLinear,
    widths_of,
)
from tests.contracts import EXACT, random_images

CHOICES = (
    Choice("first/weight_bits", (1, 4, 32)),
    Choice("first/width", (0.25, 0.5, 1.0)),
    Choice("act/op", ("relu", "tanh")),
)


class Branches(nn.Module):
    """A network that knows nothing of mixtures; two of its layers read one group of channels."""

    def __init__(self) -> None:
        super().__init__()
        bits = Lent(MixedBits((1, 4, 32), lambda b: LSQ(b, "weight")), "first/weight_bits")
        self.first = QuantizedConv2d.of(nn.Conv2d(3, 8, 3), on_weight=bits)
        self.act = Lent(MixedOp({"relu": nn.ReLU(), "tanh": nn.Tanh()}), "act/op")
        self.second = QuantizedConv2d.of(nn.Conv2d(8, 4, 3), on_weight=masked(1))
        self.third = QuantizedLinear.of(nn.Linear(128, 4), on_weight=masked(16))

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        return self.second(x).mean(dim=(2, 3)) + self.third(x.flatten(1))


def masked(features: int) -> Lent:
    widths = widths_of((0.25, 0.5, 1.0), 8, "first")
    return Lent(MixedWidth(widths, torch.arange(8).repeat_interleave(features)), "first/width")


@pytest.fixture
def supernet() -> LendingNetwork:
    torch.manual_seed(0)
    return LendingNetwork(Branches()).double()


@pytest.fixture
def x() -> Tensor:
    return random_images(2, 3, 6, 6)


@pytest.fixture
def mixture() -> Mapping[str, Tensor]:
    """In float32, as alphas are, for a network in float64."""
    generator = torch.Generator().manual_seed(1)
    return {c.name: torch.rand(len(c.candidates), generator=generator).requires_grad_() for c in CHOICES}


def by_hand(supernet: LendingNetwork, x: Tensor, mixture: Mapping[str, Tensor]) -> Tensor:
    """The same network written down with every weight where it belongs."""
    net = supernet.network
    bits, mask = mixture["first/weight_bits"], torch.zeros(8, dtype=torch.float64)
    weight = sum(w * q(net.first.weight) for w, q in zip(bits, net.first.on_weight.mixed.quantizers, strict=True))
    for share, width in zip(mixture["first/width"], (2, 4, 8), strict=True):
        mask = mask + share * (torch.arange(8) < width)
    relu, tanh = mixture["act/op"]
    h = F.conv2d(x, weight, net.first.bias)
    h = (relu * h.relu() + tanh * h.tanh()) * mask[:, None, None]
    second = F.conv2d(h, net.second.weight, net.second.bias).mean(dim=(2, 3))
    return second + F.linear(h.flatten(1), net.third.weight, net.third.bias)


def test_every_choice_reaches_all_its_modules(
    supernet: LendingNetwork, x: Tensor, mixture: Mapping[str, Tensor]
) -> None:
    found, wanted = supernet(x, mixture), by_hand(supernet, x, mixture)
    assert found.dtype == torch.float64
    assert_close(found, wanted, **EXACT)
    leaves = [*mixture.values(), *supernet.parameters()]
    gradients = [torch.autograd.grad(y.square().sum(), leaves) for y in (found, wanted)]
    assert_close(gradients[0][:3], gradients[1][:3], rtol=1e-5, atol=1e-6)  # in the float32 of the mixture
    assert_close(gradients[0][3:], gradients[1][3:], **EXACT)
    assert all(gradient.any() for gradient in gradients[0])


def test_it_is_a_function_of_its_arguments(supernet: LendingNetwork, x: Tensor, mixture: Mapping[str, Tensor]) -> None:
    state = {name: value.clone() for name, value in supernet.state_dict().items()}
    first = supernet(x, mixture)
    other = supernet(x, {name: 2 * weights for name, weights in mixture.items()})
    assert not torch.isclose(first, other).any()
    assert torch.equal(supernet(x, mixture), first)
    assert_close(dict(supernet.state_dict()), state, rtol=0, atol=0)


def test_what_is_not_lent_is_not_a_number(supernet: LendingNetwork, x: Tensor, mixture: Mapping[str, Tensor]) -> None:
    assert supernet.network(x).isnan().all()
    supernet(x, mixture)
    lent = [module for module in supernet.modules() if isinstance(module, Lent)]
    assert len(lent) == 4
    assert all(module.mixture.isnan().all() for module in lent)
    with pytest.raises(KeyError, match="act/op"):
        supernet(x, {name: weights for name, weights in mixture.items() if name != "act/op"})


def test_the_choices_are_each_named_once(supernet: LendingNetwork) -> None:
    assert supernet.choices == ("first/weight_bits", "act/op", "first/width")


def test_the_state_dict_holds_no_mixture(supernet: LendingNetwork) -> None:
    assert not [name for name in supernet.state_dict() if "mixture" in name]
    assert not [name for name, _ in supernet.named_parameters() if "mixture" in name]


def test_a_lent_module_may_be_the_network_itself(x: Tensor) -> None:
    supernet = LendingNetwork(Lent(MixedOp({"identity": nn.Identity(), "relu": nn.ReLU()}), "op"))
    assert torch.equal(supernet(x, {"op": torch.tensor([2.0, 1.0])}), 2 * x + x.relu())


def test_other_weights_go_in_from_outside(supernet: LendingNetwork, x: Tensor) -> None:
    """As in an architecture step: the constants of an objective, its buffers among them, are given to the supernet."""
    arch = ArchParameters(CHOICES, scale=1.0)
    mixture = arch.mixture(lambda alphas: alphas.softmax(-1)).as_leaves()
    objective, labels = Objective(supernet), torch.tensor([0, 3])
    loss, logits = objective((x, labels), mixture)
    again, same = objective((x, labels), mixture, objective.constants())
    assert torch.equal(logits, same)
    leaves = list(mixture.tables.values())
    assert_close(torch.autograd.grad(again, leaves), torch.autograd.grad(loss, leaves), rtol=0, atol=0)
    doubled = {name: 2 * value for name, value in objective.constants().items() if name.endswith("second.weight")}
    assert not torch.isclose(functional_call(supernet, doubled, (x, mixture)), logits).any()
    assert torch.equal(supernet(x, mixture), logits)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_a_copy_borrows_for_itself(
    supernet: LendingNetwork, x: Tensor, mixture: Mapping[str, Tensor], copied: object
) -> None:
    twin = copied(supernet)  # type: ignore[operator]
    wanted = supernet(x, mixture)
    with torch.no_grad():
        supernet.network.first.weight.zero_()
    assert torch.equal(twin(x, mixture), wanted)


def test_another_precision_on_both_sides(supernet: LendingNetwork, x: Tensor, mixture: Mapping[str, Tensor]) -> None:
    wanted = supernet(x, mixture)
    y = supernet.float()(x.float(), {name: weights.double() for name, weights in mixture.items()})
    assert y.dtype == torch.float32
    assert_close(y.double(), wanted, rtol=1e-4, atol=1e-5)


def test_autocast(supernet: LendingNetwork, x: Tensor, mixture: Mapping[str, Tensor]) -> None:
    wanted = supernet.float()(x.float(), mixture)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = supernet(x.float(), mixture)
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    assert_close(y.float(), wanted, rtol=3e-2, atol=3e-2)
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in supernet.parameters())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own tracing, which users never see
def test_it_compiles_in_one_piece(supernet: LendingNetwork, x: Tensor, mixture: Mapping[str, Tensor]) -> None:
    torch.compiler.reset()
    compiled = torch.compile(supernet, backend="aot_eager", fullgraph=True)
    leaves = [*mixture.values(), *supernet.parameters()]
    results = [net(x, mixture) for net in (compiled, supernet)]
    assert_close(results[0], results[1], **EXACT)
    gradients = [torch.autograd.grad(y.square().sum(), leaves) for y in results]
    assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-6)
    doubled = {name: 2 * weights for name, weights in mixture.items()}
    assert_close(compiled(x, doubled), supernet(x, doubled), **EXACT)
    torch.compiler.reset()
