"""Networks of few bits that were hardly trained: wrong files are caught, and rounding in another order is not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nas.exporting import compare, random_batches
from nas.exporting.format import Run
from nas.exporting.quantized import FakeQuantize
from nas.supernet import LSQ, NICE
from tests.exporting.barely_trained import IMAGE, as_files, barely_trained

FEW = random_batches(IMAGE)
MANY = random_batches(IMAGE, sizes=(64,))


@pytest.mark.parametrize(("kind", "bits"), [(LSQ, 1), (LSQ, 2), (LSQ, 8), (NICE, 2), (NICE, 4)])
def test_sums_in_another_order_are_no_mistake(kind: type[LSQ] | type[NICE], bits: int) -> None:
    """Float64 instead of float32."""
    for seed in range(2):
        network = barely_trained(seed, kind=kind, bits=bits)
        comparison = compare(network, as_files(network, dtype=torch.float64), MANY, 1e-4)
        assert comparison.difference <= 1e-6


def test_a_number_at_a_border_may_be_rounded_to_the_other_level() -> None:
    """Ten of 192 pixels are half steps, where 1e-6 more is another level: half of them are turned, in both files."""
    network = barely_trained(0, bits=2)
    images = FEW[0].clone()
    images.view(-1)[:10] = (torch.arange(-5, 5) * 7 + 0.5) * network[0].on_input.step_size()

    def moved(by: float) -> list[Callable[[Tensor], Run]]:
        return [lambda images, file=file: file(images + by) for file in as_files(network)]

    comparison = compare(network, moved(1e-6), [images], 1e-4)
    assert comparison.turned == 2 * 5
    assert comparison.difference <= 1e-7
    with torch.no_grad():
        assert (network[:2](images) - network[:2](images + 1e-6)).abs().max() > 1e-3
    with pytest.raises(ValueError, match=r"'0\.on_input' of the network rounds differs in the file"):
        compare(network, moved(1e-3), [images], 1e-4)


def test_the_network_does_not_follow_afterwards() -> None:
    network = barely_trained(0)
    compare(network, as_files(network), FEW, 1e-4)
    assert not [module for module in network.modules() if module._forward_hooks]


def test_equal_roundings_may_be_one_and_others_may_be_added() -> None:
    network = barely_trained(0)
    network[1].shortcut.on_input.step.data.copy_(network[1].conv1.on_input.step)

    def joined(images: Tensor) -> Run:
        run = as_files(network)[0](images)
        *others, second, first, stem = run.roundings
        assert torch.equal(others[-1].codes, first.codes)
        return Run(run.logits, [stem, *others, stem, second])

    compare(network, [joined], FEW, 1e-4)


def scaled(path: str, factor: float) -> Callable[[nn.Module], None]:
    """Multiplies a tensor."""

    def change(network: nn.Module) -> None:
        owner, _, name = path.rpartition(".")
        getattr(network.get_submodule(owner), name).data.mul_(factor)

    return change


def shifted(network: nn.Module) -> None:
    """A zero point that is off by one."""

    class Off(FakeQuantize):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + self.step) - self.step

    network[2].conv1.on_input.__class__ = Off


def without_relu(block: int) -> Callable[[nn.Module], None]:
    """The last ReLU of a block is missing."""

    def change(network: nn.Module) -> None:
        network[block].relu2 = nn.Identity()

    return change


def rounded_down(original: nn.Module) -> Callable[[nn.Module], None]:
    """Weights are floored, not rounded."""

    def change(network: nn.Module) -> None:
        layer = original[2].conv2
        step, (low, high) = layer.on_weight.step_size(), layer.on_weight.levels
        codes = torch.floor(layer.weight.detach() / step).clamp(low, high)
        network[2].conv2.layer.weight.copy_(codes)

    return change


def one_code(network: nn.Module) -> None:
    """One weight of a thousand is the next level."""
    codes = network[2].conv1.weight
    place = int((codes.view(-1) < 1).nonzero()[0])
    codes.view(-1)[place] += 1


def swapped(network: nn.Module) -> None:
    """Two filters stand in each other's place."""
    codes = network[2].conv1.weight
    codes[[0, 1]] = codes[[1, 0]]


def other_epsilon(network: nn.Module) -> None:
    """Of batch norm, 1e-3 for 1e-5."""
    network[1].norm1.eps = 1e-3


def test_wrong_files_are_caught() -> None:
    """Each mistake, however little it changes the logits of a network that hardly looks at its images."""
    for seed in range(2):
        network = barely_trained(seed)
        changes = {
            "step of an input": scaled("1.conv2.layer.on_input.step", 1.01),
            "step of a weight": scaled("2.conv1.on_weight.step", 1.01),
            "scale of a norm": scaled("1.norm1.weight", 1.01),
            "bias of the head": scaled("6.bias", 1.01),
            "zero point": shifted,
            "relu": without_relu(3),
            "weights rounded down": rounded_down(network),
            "one weight": one_code,
            "swapped filters": swapped,
            "epsilon": other_epsilon,
        }
        missed = [name for name, change in changes.items() if accepted(network, as_files(network, change))]
        assert not missed, seed


def accepted(network: nn.Module, files: list[Callable[[Tensor], Run]]) -> bool:
    """Whether a comparison finds nothing."""
    try:
        compare(network, files, FEW, 1e-4)
    except ValueError:
        return False
    return True


def test_what_changes_nothing_is_no_mistake() -> None:
    """Unsigned quantizers, which read the second block alone, make a ReLU before them superfluous."""
    network = barely_trained(0)
    assert [part.on_input.signed for part in (network[3].conv1, network[3].shortcut)] == [False, False]
    compare(network, as_files(network, without_relu(2)), MANY, 1e-4)
