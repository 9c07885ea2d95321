"""A file that computes something else is caught; rounding is not taken for it."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.export import ExportedProgram

from nas.exporting import Onnx, Pt2, compare, export, quantized, random_batches
from nas.exporting.format import Run
from nas.exporting.quantized import Grid, grid_of
from nas.supernet import Quantizer
from tests.exporting.networks import IMAGE, Plain, QuantizedNetwork
from tests.marks import slow

BATCHES = random_batches(IMAGE)


def plainly(function: Callable[[Tensor], Tensor]) -> list[Callable[[Tensor], Run]]:
    """A file without roundings."""
    return [lambda images: Run(function(images).detach(), [])]


def test_the_difference_is_the_largest_of_all_batches_and_logits() -> None:
    network = Plain().eval()
    pushed = BATCHES[1].clone()

    def file(images: Tensor) -> Tensor:
        logits = network(images).detach()
        if torch.equal(images, pushed):
            logits[2, 7] -= 0.25
            logits[0, 3] += 0.125
        return logits

    comparison = compare(network, plainly(file), BATCHES, 100.0)
    assert comparison.difference == pytest.approx(0.25, rel=1e-6)
    largest = max(float(network(images).detach().abs().max()) for images in BATCHES)
    assert comparison.allowed == pytest.approx(100 * largest)
    with pytest.raises(
        ValueError, match=r"differ from those of the network by 0\.25; .* is allowed, by tolerance=0\.01"
    ):
        compare(network, plainly(file), BATCHES, 0.01)


def test_the_tolerance_is_a_part_of_the_largest_logit() -> None:
    network = Plain().eval()
    (images,) = BATCHES[1:]
    largest = float(network(images).detach().abs().max())
    assert compare(network, plainly(network), [images], 1e-4).allowed == pytest.approx(1e-4 * largest)
    compare(network, plainly(lambda images: network(images) + 0.9e-4 * largest), [images], 1e-4)
    with pytest.raises(ValueError, match="differ"):
        compare(network, plainly(lambda images: network(images) + 1.1e-4 * largest), [images], 1e-4)


def test_what_is_not_finite_or_of_another_shape_is_told() -> None:
    network = Plain().eval()
    with pytest.raises(ValueError, match=r"logits of shape \(1, 9\), the network \(1, 10\)"):
        compare(network, plainly(lambda images: network(images)[:, :9]), BATCHES, 1e-4)
    with pytest.raises(ValueError, match="differ from those of the network by nan"):
        compare(network, plainly(lambda images: network(images) * torch.nan), BATCHES, 1e-4)
    network[-1].bias.data[3] = torch.nan
    with pytest.raises(ValueError, match="logits of the network are not finite"):
        compare(network, plainly(network), BATCHES, 1e-4)


class Forgetful(Pt2):
    """Changes one weight by 1% before it writes."""

    def write(self, program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
        program.state_dict["5.weight"].data.view(-1)[0] += 0.01
        return super().write(program, metadata)


def test_a_file_with_another_weight_is_caught() -> None:
    torch.manual_seed(0)  # there are networks in which a ReLU hides that weight from every image
    with pytest.raises(ValueError, match="the logits of the file differ"):
        export(Plain(), BATCHES, file_format=Forgetful(), tolerance=1e-4, metadata={})


def wider(quantizer: Quantizer) -> Grid:
    """Forgets where the range ends."""
    grid = grid_of(quantizer)
    return replace(grid, high=2 * grid.high + 1)


def coarser(quantizer: Quantizer) -> Grid:
    """Steps that are 1% larger, of inputs alone: weights are checked before."""
    grid = grid_of(quantizer)
    return replace(grid, step=grid.step * (1.01 if quantizer.operand == "input" else 1))


@pytest.mark.parametrize("wrong", [wider, *slow(coarser)])
def test_a_wrong_grid_is_caught(wrong: Callable[[Quantizer], Grid], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "grid_of", wrong)
    with pytest.raises(ValueError, match=r"'[a-z]+\.on_input' of the network rounds differs in the file"):
        export(QuantizedNetwork(), BATCHES, file_format=Onnx(opset=21), tolerance=1e-4, metadata={})


def test_what_onnxruntime_rounds_of_itself_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias that is an operand of a convolution between quantizers, unless `portable` keeps it out."""
    monkeypatch.setattr(quantized, "Biased", lambda layer: layer)
    with pytest.raises(ValueError, match="differ"):
        export(QuantizedNetwork(), BATCHES, file_format=Onnx(opset=21), tolerance=1e-4, metadata={})
