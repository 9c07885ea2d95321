"""torch.export's own file."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node

from nas.exporting.format import FileFormat, Rounding, Run
from nas.exporting.operators import DECOMPOSITIONS, rounding_places
from nas.exporting.tracing import torch_warnings_of_itself
from nas.reading import check_archive, parse_json

METADATA = "metadata.json"


class Pt2(FileFormat):
    """`torch.export.load` reads it, with PyTorch alone.

    Quantized layers are PyTorch's own rounding, clamping and multiplying; quantized weights are integers. The metadata
    is the extra file `metadata.json`: `torch.export.load(path, extra_files={"metadata.json": ""})`.
    """

    ending = ".pt2"

    def write(self, program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
        file = io.BytesIO()
        with torch_warnings_of_itself():
            plain = program.run_decompositions(DECOMPOSITIONS)
            torch.export.save(plain, file, extra_files={METADATA: json.dumps(dict(metadata), indent=2)})
        return file.getvalue()

    def load(self, data: bytes, *, inputs: bool = False) -> Callable[[Tensor], Run]:
        with torch_warnings_of_itself():
            module = torch.export.load(io.BytesIO(data)).module()

        places = rounding_places(module.graph)

        def run(images: Tensor) -> Run:
            values = _Values(module)
            logits = values.run(images)
            found = [(values.kept[codes], values.kept[given]) for codes, given in places]
            return Run(logits, [Rounding(codes, given if inputs else None) for codes, given in found])

        return run

    def metadata(self, data: bytes) -> Mapping[str, str]:
        file = io.BytesIO(data)
        try:
            check_archive(file, largest=len(data), methods={zipfile.ZIP_STORED})
            with zipfile.ZipFile(file) as archive:
                (name,) = (name for name in archive.namelist() if name.endswith(f"/extra/{METADATA}"))
                found = parse_json(archive.read(name))
        except (zipfile.BadZipFile, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


class _Values(Interpreter):
    """Runs a module and keeps what rounding reads and gives."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.kept: dict[Node, Any] = dict.fromkeys(node for place in rounding_places(module.graph) for node in place)

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n in self.kept:
            self.kept[n] = value
        return value
