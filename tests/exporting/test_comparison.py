"""A file that computes something else is caught; rounding is not taken for it."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from nas.exporting import Onnx, Pt2, compare, export, quantized, random_batches
from nas.exporting.quantized import Grid, grid_of
from nas.supernet import Quantizer
from tests.exporting.networks import IMAGE, Plain, QuantizedNetwork

BATCHES = random_batches(IMAGE)


def test_the_difference_is_the_largest_of_all_batches_and_logits() -> None:
    network = Plain().eval()
    pushed = BATCHES[1].clone()

    def file(images: Tensor) -> Tensor:
        logits = network(images).detach()
        if torch.equal(images, pushed):
            logits[2, 7] -= 0.25
            logits[0, 3] += 0.125
        return logits

    comparison = compare(network, file, BATCHES, 100.0)
    assert comparison.difference == pytest.approx(0.25, rel=1e-6)
    largest = max(float(network(images).detach().abs().max()) for images in BATCHES)
    assert comparison.allowed == pytest.approx(100 * largest)
    with pytest.raises(
        ValueError, match=r"differ from those of the network by 0\.25; .* is allowed, by tolerance=0\.01"
    ):
        compare(network, file, BATCHES, 0.01)


def test_of_a_plain_network_nothing_is_allowed_for_quantizers() -> None:
    network = Plain().eval()
    largest = max(float(network(images).detach().abs().max()) for images in BATCHES)
    assert compare(network, network, BATCHES, 1e-4).allowed == pytest.approx(1e-4 * largest)
    with pytest.raises(ValueError, match="differ"):
        compare(network, lambda images: network(images) + 1.1e-4 * largest, BATCHES, 1e-4)


def test_a_value_on_the_edge_of_a_step_may_round_the_other_way() -> None:
    """Ten of 378 pixels are at half steps, where 1e-6 more is another code."""
    network = nn.Sequential(QuantizedNetwork().stem, nn.Flatten()).eval()
    images = BATCHES[1].clone()
    step = network[0].on_input.step_size()
    images.view(-1)[:10] = (torch.arange(-5, 5) * 7 + 0.5) * step
    comparison = compare(network, lambda given: network(given + 1e-6), [images], 1e-4)
    largest = float(network(images).detach().abs().max())
    assert comparison.difference > 1e-3 * largest
    assert comparison.allowed > comparison.difference
    with pytest.raises(ValueError, match="differ"):
        compare(network, lambda given: network(given + 2 * step), [images], 1e-4)


def test_the_noise_is_gone_afterwards() -> None:
    network = QuantizedNetwork().eval()
    compare(network, network, BATCHES, 1e-4)
    assert not [module for module in network.modules() if module._forward_pre_hooks]


def test_what_is_not_finite_or_of_another_shape_is_told() -> None:
    network = Plain().eval()
    with pytest.raises(ValueError, match=r"shapes \[\(1, 9\), \(3, 9\)\], the network of \[\(1, 10\), \(3, 10\)\]"):
        compare(network, lambda images: network(images)[:, :9], BATCHES, 1e-4)
    with pytest.raises(ValueError, match="differ from those of the network by nan"):
        compare(network, lambda images: network(images) * torch.nan, BATCHES, 1e-4)
    network[-1].bias.data[3] = torch.nan
    with pytest.raises(ValueError, match="logits of the network are not finite"):
        compare(network, network, BATCHES, 1e-4)


class Forgetful(Pt2):
    """Changes one weight by 1% before it writes."""

    def write(self, program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
        program.state_dict["5.weight"].data.view(-1)[0] += 0.01
        return super().write(program, metadata)


def test_a_file_with_another_weight_is_caught() -> None:
    with pytest.raises(ValueError, match="the logits of the file differ"):
        export(Plain(), BATCHES, file_format=Forgetful(), tolerance=1e-4, metadata={})


def wider(quantizer: Quantizer) -> Grid:
    """Forgets where the range ends."""
    grid = grid_of(quantizer)
    return Grid(grid.step, grid.low, 2 * grid.high + 1)


def coarser(quantizer: Quantizer) -> Grid:
    """Steps that are 2% larger, of inputs alone: weights are checked before."""
    grid = grid_of(quantizer)
    return Grid(grid.step * (1.02 if quantizer.operand == "input" else 1), grid.low, grid.high)


@pytest.mark.parametrize("wrong", [wider, coarser])
def test_a_wrong_grid_is_caught(wrong: Callable[[Quantizer], Grid], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "grid_of", wrong)
    with pytest.raises(ValueError, match="the logits of the file differ"):
        export(QuantizedNetwork(), BATCHES, file_format=Onnx(opset=21), tolerance=1e-4, metadata={})
