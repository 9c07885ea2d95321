"""torch.export's own file."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.export import ExportedProgram

from nas.exporting.format import FileFormat
from nas.exporting.operators import DECOMPOSITIONS
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

    def load(self, data: bytes) -> Callable[[Tensor], Tensor]:
        with torch_warnings_of_itself():
            return torch.export.load(io.BytesIO(data)).module()

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
