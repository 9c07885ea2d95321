"""Open Neural Network Exchange."""

import importlib.util
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.export import ExportedProgram

from nas.exporting.format import FileFormat, Rounding, Run
from nas.exporting.quantized import integers
from nas.exporting.tracing import torch_warnings_of_itself

OPSETS = range(18, 24)
WIDE_OPSET = 21
"""The first whose QuantizeLinear has integers of 16 bits."""


class Onnx(FileFormat):
    """An ONNX model with the input `images` (N, C, H, W) and the output `logits` (N, num_classes), for any N.

    Checked by `onnx.checker`, run by onnxruntime. Quantized layers are pairs of QuantizeLinear and DequantizeLinear,
    quantized weights integers with a DequantizeLinear. The metadata is in `metadata_props`. A file holds up to 2 GB.

    Raises:
        ValueError: an opset outside 18 to 23, or packages of the extra `export` that are not installed.
    """

    ending = ".onnx"

    def __init__(self, opset: int) -> None:
        if opset not in OPSETS:
            raise ValueError(f"opset is {opset}; give one of {OPSETS.start} to {OPSETS[-1]}")
        if missing := [name for name in ("onnx", "onnxruntime", "onnxscript") if not importlib.util.find_spec(name)]:
            raise ValueError(
                f"exporting to onnx needs the extra: pip install 'differentiable-nas[export]' ({missing[0]} is missing)"
            )
        self.opset = opset

    def write(self, program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
        import onnx

        from nas.exporting.onnx_operators import translations

        self._refuse_wide_integers(program)
        try:
            with torch_warnings_of_itself():
                exported = torch.onnx.export(
                    program,
                    dynamo=True,
                    opset_version=self.opset,
                    input_names=["images"],
                    output_names=["logits"],
                    dynamic_shapes=({0: "batch"},),
                    custom_translation_table=translations(self.opset),
                    verbose=False,
                )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise ValueError(f"torch.onnx cannot write the network: {reason}") from error
        assert exported is not None
        model = exported.model_proto
        for node in model.graph.node:
            del node.metadata_props[:]  # the exporter's notes on its own work
        onnx.helper.set_model_props(model, dict(metadata))
        data = model.SerializeToString()
        onnx.checker.check_model(data, full_check=True)
        return data

    def load(self, data: bytes, *, inputs: bool = False) -> Callable[[Tensor], Run]:
        import onnx
        import onnxruntime

        from nas.exporting.onnx_operators import rounding_places

        model = onnx.load_model_from_string(data)
        places = rounding_places(model.graph)
        told = {name: None for place in places for name in (place if inputs else place[:1])}
        outputs = ["logits", *(name for name in told if name != "images")]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs[1:])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no class in common
            raise ValueError(f"onnxruntime cannot run the file: {str(error).splitlines()[0]}") from error

        def run(images: Tensor) -> Run:
            arrays = session.run(outputs, {"images": images.numpy()})
            found = {"images": images} | dict(zip(outputs, map(torch.from_numpy, arrays), strict=True))
            roundings = [Rounding(found[codes], found[given] if inputs else None) for codes, given in places]
            return Run(found["logits"], roundings)

        return run

    def metadata(self, data: bytes) -> Mapping[str, str]:
        import onnx
        from google.protobuf.message import DecodeError

        try:
            model = onnx.load_model_from_string(data)
        except DecodeError:
            return {}
        return {prop.key: prop.value for prop in model.metadata_props}

    def _refuse_wide_integers(self, program: ExportedProgram) -> None:
        calls = [node for node in program.graph.nodes if node.target is torch.ops.nas.fake_quantize.default]
        used = {integers(*node.args[2:]) for node in calls} | {buffer.dtype for buffer in program.buffers()}
        if self.opset < WIDE_OPSET and used & {torch.int16, torch.uint16}:
            raise ValueError(f"opset is {self.opset}; numbers of 9 to 16 bits need {WIDE_OPSET} or later")
