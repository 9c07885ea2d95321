"""Quantized layers in files: integers, the ranges of their bits, ties, and what onnxruntime makes of them."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from nas.exporting import Exported, FileFormat, Onnx, Pt2, export, random_batches
from nas.exporting.quantized import INTEGERS, integers, portable
from nas.supernet import LSQ, NICE, Quantizer, calibrate
from tests.exporting.networks import BITS, IMAGE, QuantizedNetwork, quantized_layer
from tests.marks import slow

BATCHES = random_batches(IMAGE)


@pytest.fixture(scope="module")
def network() -> QuantizedNetwork:
    """With every kind of bits."""
    return QuantizedNetwork()


@pytest.fixture(scope="module")
def exported(network: QuantizedNetwork) -> Exported:
    """Its file."""
    return export(network, BATCHES, file_format=Onnx(opset=21), tolerance=1e-4, metadata={})


@pytest.fixture(scope="module")
def model(exported: Exported) -> onnx.ModelProto:
    """What is in the file."""
    return onnx.load_model_from_string(exported.data)


def arrays(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The constants of a model."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        (0, 1, torch.uint8),
        (0, 255, torch.uint8),
        (-1, 1, torch.int8),
        (-128, 127, torch.int8),
        (0, 256, torch.uint16),
        (-129, 127, torch.int16),
        (0, 2**16 - 1, torch.uint16),
        (-(2**15), 2**15 - 1, torch.int16),
        (0, 2**16, torch.int32),
        (-(2**30), 2**30 - 1, torch.int32),
        (0, 2**31 - 1, torch.int32),
    ],
)
def test_the_smallest_integers_are_chosen(low: int, high: int, kind: torch.dtype) -> None:
    assert integers(low, high) is kind
    assert kind in INTEGERS


def test_weights_are_the_integers_of_their_bits(network: QuantizedNetwork, model: onnx.ModelProto) -> None:
    """Compared with the formula, from the float weights and the step alone."""
    constants = arrays(model)
    for name, (weight_bits, _) in BITS.items():
        layer = network.get_submodule(name)
        (codes,) = (array for key, array in constants.items() if key.startswith(f"{name}.") and key.endswith("weight"))
        weight = layer.weight.detach().numpy()
        if weight_bits == 32:
            assert codes.dtype == np.float32
            continue
        half = 2 ** (weight_bits - 1)
        step = abs(layer.on_weight.step.detach().numpy())
        wanted = np.clip(np.rint(weight / step), -half, half - 1) if weight_bits > 1 else np.sign(weight)
        assert codes.dtype == {True: np.int8, weight_bits > 8: np.int16, weight_bits > 16: np.int32}[True]
        assert np.array_equal(codes, wanted)
        assert 2 <= len(np.unique(codes)) <= 2**weight_bits


def test_the_pairs_are_there(model: onnx.ModelProto) -> None:
    constants = arrays(model)
    found = Counter()
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            found[str(constants[node.input[2]].dtype)] += 1
            assert constants[node.input[2]] == 0
            (follower,) = (other for other in model.graph.node if node.output[0] in other.input)
            assert follower.op_type == "DequantizeLinear"
            assert list(follower.input[1:]) == list(node.input[1:])
    # 8, 3 and 5 bits of both signs; 4 bits and the one that is binary, from 0; 11 bits
    assert found == {"int8": 3, "uint8": 2, "uint16": 1}
    assert Counter(node.op_type for node in model.graph.node)["DequantizeLinear"] == 6 + 7
    # 19 bits
    assert Counter(node.op_type for node in model.graph.node)["Round"] == 1


def test_ranges_that_are_not_those_of_the_integers_are_clipped(
    network: QuantizedNetwork, model: onnx.ModelProto
) -> None:
    constants = arrays(model)
    makers = {output: node for node in model.graph.node for output in node.output}
    ranges = []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            clip, step = makers.get(node.input[0]), constants[node.input[1]]
            clipped = clip is not None and clip.op_type == "Clip"
            ranges.append([round(float(constants[end] / step)) for end in clip.input[1:]] if clipped else None)
    assert ranges == [None, [0, 15], [-4, 3], [-16, 15], [0, 1], [0, 2047]]


@pytest.mark.parametrize("kind", [LSQ, NICE])
@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_onnxruntime_computes_the_same_however_it_optimizes(
    kind: type[Quantizer], level: str, files: dict[type[Quantizer], tuple[nn.Module, bytes]]
) -> None:
    """It may not round the biases."""
    network, data = files[kind]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(data, options)
    for images in BATCHES:
        with torch.no_grad():
            logits = network(images)
        (found,) = session.run(None, {"images": images.numpy()})
        assert abs(found - logits.numpy()).max() < 1e-5 * logits.abs().max()


@pytest.mark.parametrize("input_bits", [1, *slow(2, 8)])
def test_onnxruntime_may_not_round_float_weights_either(input_bits: int) -> None:
    """Between quantizers it does so, to 8 bits: of a weight whose largest number is 1, up to 1 / 254."""
    torch.manual_seed(0)
    first = quantized_layer(nn.Conv2d(3, 4, 3, bias=False), on_input=input_bits)
    second = quantized_layer(nn.Conv2d(4, 4, 3, bias=False), on_input=8, on_weight=4)
    network = nn.Sequential(first, nn.ReLU(), second, nn.Flatten()).eval()
    calibrate(network, lambda: network(torch.randn(8, *IMAGE)))
    exported = export(network, BATCHES, file_format=Onnx(opset=21), tolerance=1e-5, metadata={})
    assert exported.comparison.difference < 1e-5


@pytest.fixture(scope="module")
def files(network: QuantizedNetwork, exported: Exported) -> dict[type[Quantizer], tuple[nn.Module, bytes]]:
    """A network and its file for each kind of quantizer."""
    other = QuantizedNetwork(NICE)
    file = export(other, BATCHES, file_format=Onnx(opset=21), tolerance=1e-4, metadata={})
    return {LSQ: (network, exported.data), NICE: (other, file.data)}


ROUNDED = (1, 2, 3, 8, 9, 16, 19)
VALUES = (
    *(-1e9, -300.5, -129.5, -128.5, -4.5, -3.5, -1.5, -0.5, -0.3, 0.2, 0.5, 1.5, 2.5, 7.5, 8.5, 126.5, 127.5, 254.5),
    *(255.5, 2047.4, 2048.5, 4095.5, 65535.5, 262142.5, 262143.5, 1e9),
)


class Rounded(nn.Module):
    """Images (N, 1, 1, W), rounded to the whole numbers of each of ROUNDED: (N, bits, W)."""

    def __init__(self, *, signed: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for bits in ROUNDED:
            layer = quantized_layer(nn.Conv2d(1, 1, 1, bias=False), on_input=bits)
            layer.on_input.bounds.copy_(torch.tensor(layer.on_input.integers(signed=signed)))
            for parameter in (layer.weight, layer.on_input.step):
                nn.init.ones_(parameter)
            self.layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x).flatten(1)[:, None] for layer in self.layers], dim=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file_format", "signed"),
    [
        pytest.param(Onnx(opset=21), True, id="onnx-signed"),
        pytest.param(Onnx(opset=21), False, id="onnx-unsigned"),
        pytest.param(Pt2(), True, id="pt2-signed"),
        pytest.param(Pt2(), False, id="pt2-unsigned"),
    ],
)
def test_halves_round_to_even_and_ranges_end_where_their_bits_do(file_format: FileFormat, signed: bool) -> None:
    images = torch.tensor(VALUES).reshape(1, 1, 1, -1)
    exported = export(Rounded(signed=signed), [images], file_format=file_format, tolerance=1e-4, metadata={})
    assert exported.comparison.difference == 0
    _, found = file_format.load(exported.data)(images.repeat(2, 1, 1, 1)).logits.detach().numpy()
    for bits, row in zip(ROUNDED, found, strict=True):
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        wanted = np.sign(VALUES) if bits == 1 and signed else np.clip(np.rint(VALUES), low, high)
        assert np.array_equal(row, wanted), bits


@pytest.mark.parametrize("opset", [18, *slow(20, 21, 23)])
def test_every_opset_holds_eight_bits(opset: int) -> None:
    layer = quantized_layer(nn.Conv2d(3, 2, 3), on_input=4, on_weight=4)
    network = nn.Sequential(layer, nn.Flatten())
    exported = export(network, BATCHES, file_format=Onnx(opset=opset), tolerance=1e-4, metadata={})
    model = onnx.load_model_from_string(exported.data)
    assert [one.version for one in model.opset_import] == [opset]
    assert [node.op_type for node in model.graph.node].count("QuantizeLinear") == 1


@pytest.mark.parametrize("place", ["on_input", "on_weight"])
@pytest.mark.parametrize("bits", [9, 16])
def test_integers_of_16_bits_need_a_later_opset(place: str, bits: int) -> None:
    network = nn.Sequential(quantized_layer(nn.Conv2d(3, 2, 3), **{place: bits}), nn.Flatten())
    with pytest.raises(ValueError, match="opset is 20; numbers of 9 to 16 bits need 21 or later"):
        export(network, BATCHES, file_format=Onnx(opset=20), tolerance=1e-4, metadata={})


def test_weights_that_are_on_no_grid_are_told() -> None:
    class Off(LSQ):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 0.3 * self.step_size()

    layer = quantized_layer(nn.Linear(4, 3), on_weight=4)
    layer.on_weight.__class__ = Off
    network = nn.Sequential(nn.Identity(), layer)
    with pytest.raises(ValueError, match=r"weights of layer '1' are not its step times whole numbers from -8 to 7"):
        portable(network)


def test_an_operation_that_onnx_lacks_is_told() -> None:
    class Bessel(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x).flatten(1)

    with pytest.raises(ValueError, match=r"torch\.onnx cannot write the network: .*bessel_j0"):
        export(Bessel(), BATCHES, file_format=Onnx(opset=18), tolerance=1e-4, metadata={})
