"""Recomputed modules against the same modules that keep their activations: equal to the last bit."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from experiments.speed.memory import peak_bytes
from nas.supernet import recomputed


class Block(nn.Module):
    """Whatever a recomputation could get wrong: weights, a tied weight, random numbers, a buffer that moves."""

    def __init__(self, recompute: bool) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.again = nn.Linear(6, 6)
        self.again.weight = self.first.weight
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))
        self.recompute = recompute

    def forward(self, x: Tensor, others: dict[str, Tensor]) -> Tensor:
        return recomputed(self, self.compute, x, others) if self.recompute else self.compute(x, others)

    def compute(self, x: Tensor, others: dict[str, Tensor]) -> Tensor:
        self.calls += 1
        x = self.dropout(torch.tanh(self.first(x)) * others["scale"])
        return torch.tanh(self.again(x)) * self.calls


def blocks() -> tuple[nn.Sequential, nn.Sequential]:
    """(kept, recomputed), with the same weights."""
    pair = []
    for recompute in (False, True):
        torch.manual_seed(0)
        pair.append(nn.Sequential(*(Block(recompute) for _ in range(3))).double())
    return pair[0], pair[1]


def forward(net: nn.Sequential, x: Tensor, scale: Tensor) -> Tensor:
    for block in net:
        x = block(x, {"scale": scale})
    return x.square().sum()


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, scale = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((5, 6), (6,)))
    return x.requires_grad_(), scale.requires_grad_()


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_gradients_are_the_same_to_the_last_bit() -> None:
    results = []
    for net in blocks():
        x, scale = inputs()
        torch.manual_seed(2)
        loss = forward(net, x, scale)
        drawn = torch.rand(3)  # the run goes on with other random numbers
        gradients = torch.autograd.grad(loss, [x, scale, *net.parameters()])
        results.append([loss.detach(), *gradients, drawn, torch.rand(3), *net.buffers()])
    assert equal(*results)
    assert [float(buffer) for buffer in net.buffers()] == [1.0] * 3, "a recomputation moves no buffer"


def test_it_recomputes_at_the_weights_that_were_lent() -> None:
    kept, again = blocks()
    names = [name for name, _ in kept.named_parameters()]
    results = []
    for net in (kept, again):
        x, scale = inputs()
        lent = [parameter.detach().mul(1.5).requires_grad_() for parameter in net.parameters()]
        state = dict(zip(names, lent, strict=True)) | {name: b.clone() for name, b in net.named_buffers()}
        whole = _Whole(net)
        torch.manual_seed(2)
        loss = functional_call(whole, {f"net.{name}": tensor for name, tensor in state.items()}, (x, scale))
        results.append([loss.detach(), *torch.autograd.grad(loss, [x, scale, *lent])])
        assert [float(buffer) for buffer in net.buffers()] == [0.0] * 3, "the live buffers stay"
    assert equal(*results)
    x, scale = inputs()
    torch.manual_seed(2)
    live = forward(kept, x, scale)
    assert not torch.equal(live, results[0][0]), "at the live weights the loss is another"


class _Whole(nn.Module):
    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return forward(self.net, x, scale)


def test_a_graph_that_is_kept_is_recomputed_twice() -> None:
    results = []
    for net in blocks():
        x, scale = inputs()
        torch.manual_seed(2)
        loss = forward(net, x, scale)
        twice = [torch.autograd.grad(loss, [x, scale], retain_graph=True) for _ in range(2)]
        assert equal(list(twice[0]), list(twice[1]))
        results.append(list(twice[0]))
    assert equal(*results)


def test_autocast_is_that_of_the_first_run() -> None:
    results = []
    for net in blocks():
        x, scale = (value.detach().float().requires_grad_() for value in inputs())
        net.float()
        torch.manual_seed(2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = forward(net, x, scale)
        results.append([loss.detach(), *torch.autograd.grad(loss, [x, scale, *net.parameters()])])
    assert equal(*results)


def test_weights_that_were_changed_meanwhile_are_refused() -> None:
    for net in blocks():
        x, scale = inputs()
        loss = forward(net, x, scale)
        with torch.no_grad():
            net[0].first.weight.add_(1.0)
        with pytest.raises(RuntimeError, match=r"in.?place"):
            torch.autograd.grad(loss, [x, scale])


class Doubled(TorchFunctionMode):
    """A block in which hyperbolic tangents are twice as large."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), more: Any = None) -> Any:
        result = function(*arguments, **(more or {}))
        return 2 * result if function is torch.tanh else result


def test_modes_of_the_first_run_hold_in_the_second() -> None:
    results = []
    for net in blocks():
        x, scale = inputs()
        torch.manual_seed(5)
        with Doubled():
            loss = forward(net, x, scale)
        results.append([loss, *torch.autograd.grad(loss, [x, scale, *net.parameters()])])
    assert equal(*results)


def test_without_gradients_the_function_runs_once() -> None:
    _, net = blocks()
    x, scale = inputs()
    with torch.no_grad():
        loss = forward(net, x, scale)
    assert not loss.requires_grad
    assert [float(buffer) for buffer in net.buffers()] == [1.0] * 3


@pytest.mark.parametrize("depth", [4, 16])
def test_only_the_results_are_kept(depth: int) -> None:
    """Eight sines a block keep nine tensors, or one a block and those of the block that is recomputed."""

    def sines(x: Tensor) -> Tensor:
        for _ in range(8):
            x = x.sin()
        return x

    module, x = nn.Identity(), torch.ones(10_000, requires_grad=True)

    def work(recompute: bool) -> None:
        y = x
        for _ in range(depth):
            y = recomputed(module, sines, y) if recompute else sines(y)
        torch.autograd.grad(y.sum(), x)

    kept, again = (peak_bytes(lambda recompute=recompute: work(recompute), torch.device("cpu")) for recompute in (0, 1))
    assert kept >= 8 * depth * x.nbytes
    assert again <= (depth + 8 + 4) * x.nbytes
