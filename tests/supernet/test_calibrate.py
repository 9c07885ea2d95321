"""Step sizes from what a network computes."""

import math

import pytest
import torch
from torch import Tensor, nn

from nas.supernet import (
    LSQ,
    NICE,
    LendingNetwork,
    Lent,
    MixedBits,
    QuantizedConv2d,
    QuantizedLinear,
    Tally,
    calibrate,
    quantizers_in,
)
from tests.contracts import random_images

BITS = (1, 2, 4, 32)


def network(kind: type[LSQ] | type[NICE] = LSQ, bits: tuple[int, ...] = BITS) -> nn.Sequential:
    """Dropout and running statistics, which a run moves; one quantized layer behind another."""
    torch.manual_seed(0)

    def mixed(operand: str, number: int) -> Lent:
        return Lent(MixedBits(bits, lambda b: kind(b, operand)), f"{number}/{operand}_bits")  # type: ignore[arg-type]

    return nn.Sequential(
        QuantizedConv2d.of(nn.Conv2d(2, 4, 3, padding=1), on_input=mixed("input", 0), on_weight=mixed("weight", 0)),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        QuantizedConv2d.of(nn.Conv2d(4, 4, 3), on_input=mixed("input", 1)),
        nn.Flatten(),
        QuantizedLinear.of(nn.Linear(64, 3)),
    ).double()


def mixture(net: LendingNetwork, bits: tuple[int, ...] = BITS) -> dict[str, Tensor]:
    return {choice: torch.linspace(0.1, 0.4, len(bits)) for choice in net.choices}


def inputs_of(layer: nn.Module) -> list[LSQ]:
    return quantizers_in(layer.on_input)  # type: ignore[return-value]


def test_steps_fit_all_that_arrives() -> None:
    supernet, batches = LendingNetwork(network()), [random_images(3, 2, 6, 6), 5 * random_images(5, 2, 6, 6, seed=1)]
    weights, seen = mixture(supernet), []
    net = supernet.network
    hook = net[3].register_forward_hook(lambda module, inputs, output: seen.append(output))
    calibrate(supernet, lambda: [supernet(x, weights) for x in batches])
    hook.remove()
    for number, arrived, signed in ((0, batches, True), (4, seen, False)):
        everything = torch.cat([x.flatten() for x in arrived])
        assert len(inputs_of(net[number])) == 3
        for quantizer in inputs_of(net[number]):
            assert quantizer.signed == signed
            high = 2 ** (quantizer.bits - signed) - 1
            mean = everything.abs().mean().item()
            wanted = mean if high == 0 else 2 * mean / math.sqrt(high)
            assert quantizer.step.item() == pytest.approx(wanted, rel=1e-9), (number, quantizer.bits)


def test_layers_behind_see_rounded_numbers_from_the_first_batch_on() -> None:
    """Else the first layer would round by the step for normal numbers, 100 times too large here, and send zeros."""
    net, x = network(bits=(2,)), 0.01 * random_images(3, 2, 6, 6)
    supernet, sent = LendingNetwork(net), []
    hook = net[0].on_input.register_forward_hook(lambda module, inputs, output: sent.append(output))
    calibrate(supernet, lambda: supernet(x, mixture(supernet, (2,))))
    hook.remove()
    assert len(sent) == 1
    assert sent[0].any()


def test_weights_start_from_what_they_are_now() -> None:
    net = network()
    with torch.no_grad():
        net[0].weight.mul_(100)
    calibrate(net, lambda: None)
    for quantizer in quantizers_in(net[0].on_weight):
        wanted = LSQ(quantizer.bits, "weight").double()
        wanted.start(Tally(net[0].weight))
        assert torch.equal(quantizer.step, wanted.step)


def test_a_layer_that_is_not_called_keeps_its_start() -> None:
    net = network()
    before = [quantizer.step.item() for quantizer in inputs_of(net[4])]
    calibrate(net, lambda: None)
    assert [quantizer.step.item() for quantizer in inputs_of(net[4])] == before


@pytest.mark.parametrize("kind", [LSQ, NICE])
@pytest.mark.parametrize("fails", [False, True])
def test_all_else_stays(kind: type[LSQ] | type[NICE], fails: bool) -> None:
    bits = (2, 4, 32)
    supernet, x = LendingNetwork(network(kind, bits)).train(), random_images(3, 2, 6, 6)
    own = {name for name in supernet.state_dict() if "quantizers" in name}
    before = {name: value.clone() for name, value in supernet.state_dict().items() if name not in own}
    state = torch.get_rng_state()

    def run() -> None:
        supernet(x, mixture(supernet, bits))
        assert not torch.equal(supernet.network[1].running_mean, before["network.1.running_mean"])
        if fails:
            raise InterruptedError

    if fails:
        with pytest.raises(InterruptedError):
            calibrate(supernet, run)
    else:
        calibrate(supernet, run)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items() if name in before)
    assert not [module for module in supernet.modules() if module._forward_pre_hooks]
    assert not any(parameter.grad is not None for parameter in supernet.parameters())


def test_nice_has_the_statistics_of_all_that_arrives_although_they_move_in_training() -> None:
    bits = (2, 4)
    supernet, x = LendingNetwork(network(NICE, bits)).train(), random_images(6, 2, 6, 6)
    x[3:] += 3
    calibrate(supernet, lambda: [supernet(batch, mixture(supernet, bits)) for batch in (x[:3], x[3:])])
    for quantizer in quantizers_in(supernet.network[0].on_input):
        assert quantizer.mean.item() == pytest.approx(x.mean().item(), rel=1e-9)
        assert quantizer.deviation.item() == pytest.approx(x.std(correction=0).item(), rel=1e-9)


def test_plain_quantizers_of_a_derived_network() -> None:
    layer, x = nn.Linear(6, 3).double(), random_images(50, 6)
    derived = QuantizedLinear.of(layer, on_input=LSQ(4, "input").double(), on_weight=LSQ(4, "weight").double())
    calibrate(derived, lambda: derived(x))
    assert derived.on_input.step.item() == pytest.approx(2 * x.abs().mean().item() / math.sqrt(7), rel=1e-9)


def test_a_network_without_quantizers_is_not_run() -> None:
    def run() -> None:
        raise AssertionError

    calibrate(nn.Sequential(nn.Linear(3, 3), QuantizedLinear.of(nn.Linear(3, 3))), run)


def test_a_tally_of_parts_is_that_of_the_whole() -> None:
    x = random_images(3, 40) + 2
    tally = Tally(*x)
    assert tally.mean.item() == pytest.approx(x.mean().item(), rel=1e-12)
    assert tally.magnitude.item() == pytest.approx(x.abs().mean().item(), rel=1e-12)
    assert tally.deviation.item() == pytest.approx(x.std(correction=0).item(), rel=1e-12)
    assert tally.lowest.item() == x.min().item()
