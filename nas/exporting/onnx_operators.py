"""The operations of a quantized layer in ONNX."""

from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnxscript import opset18, opset21
from onnxscript.values import Opset

from nas.exporting.quantized import integers

TYPES = {
    torch.uint8: onnx.TensorProto.UINT8,
    torch.int8: onnx.TensorProto.INT8,
    torch.uint16: onnx.TensorProto.UINT16,
    torch.int16: onnx.TensorProto.INT16,
}
"""Integers that QuantizeLinear gives; those of 16 bits since opset 21."""


def translations(opset: int) -> dict[Any, Callable[..., Any]]:
    """What torch.onnx.export writes for the operations of nas.exporting.operators."""
    op: Opset = opset21 if opset >= 21 else opset18

    def fake_quantize(x: Any, step: Any, low: int, high: int) -> Any:
        """Clip, QuantizeLinear, DequantizeLinear; arithmetic for more than 16 bits, which QuantizeLinear lacks.

        All round halves to even. Clip narrows the range of the integers to low..high exactly: rounding is monotone.
        """
        kind = integers(low, high)
        lowest, highest = (op.Constant(value_float=float(level)) for level in (low, high))
        if kind not in TYPES:
            return op.Mul(op.Clip(op.Round(op.Div(x, step)), lowest, highest), step)
        if (low, high) != (torch.iinfo(kind).min, torch.iinfo(kind).max):
            x = op.Clip(x, op.Mul(lowest, step), op.Mul(highest, step))
        zero = op.Constant(value=onnx.helper.make_tensor("zero", TYPES[kind], [], [0]))
        return op.DequantizeLinear(op.QuantizeLinear(x, step, zero), step, zero)

    def dequantize(codes: Any, step: Any) -> Any:
        return op.DequantizeLinear(codes, step)

    return {
        torch.ops.nas.fake_quantize.default: fake_quantize,
        torch.ops.nas.dequantize.default: dequantize,
    }


def rounding_places(graph: onnx.GraphProto) -> list[tuple[str, str]]:
    """Where a graph rounds, as `fake_quantize` above writes it: names of the whole numbers and of what is rounded.

    torch.onnx leaves out a division by 1, and makes one of equal nodes.
    """
    makers = {output: node for node in graph.node for output in node.output}
    places = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            places.append((node.output[0], node.input[0]))
        before = makers.get(node.input[0])
        if node.op_type == "Clip" and before is not None and before.op_type == "Round":
            division = makers.get(before.input[0])
            divided = division if division is not None and division.op_type == "Div" else before
            places.append((node.output[0], divided.input[0]))
    return places
