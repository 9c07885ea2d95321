"""Former exports, which nas.export is asked to replace."""

import functools
from pathlib import Path

import torch
from torch import nn

from experiments.faults.originals import cell_space, genotype_json
from nas.export import require_former
from nas.exporting import FileFormat, Onnx, Pt2

FORMATS: dict[str, FileFormat] = {"onnx": Onnx(opset=18), "pt2": Pt2()}


def _metadata() -> dict[str, str]:
    return {"genotype": genotype_json(cell_space()).decode(), "space": "pc_darts", "epoch": "1", "versions": "{}"}


@functools.cache
def export(name: str) -> bytes:
    """An export of a small network."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(network, (torch.zeros(2, 1, 2, 2),), dynamic_shapes=shapes)
    return FORMATS[name].write(program, _metadata())


def replaced(name: str, folder: Path) -> None:
    """What nas.export does with a file before it writes over it."""
    require_former(folder / f"network.{name}", FORMATS[name], _metadata())
