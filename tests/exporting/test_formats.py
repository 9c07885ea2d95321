"""Both formats: the file computes what the network does, for any batch, without this package, and says what it is."""

import io
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.exporting import Exported, FileFormat, Onnx, Pt2, export, random_batches
from tests.exporting.networks import BITS, IMAGE, Plain, QuantizedNetwork

FORMATS = {"onnx": Onnx(opset=21), "pt2": Pt2()}
NETWORKS = {"plain": Plain, "quantized": QuantizedNetwork}


@dataclass(frozen=True)
class Made:
    """A network, a format and the file; what the network was before, and whether it still was in training after."""

    network: nn.Module
    form: FileFormat
    exported: Exported
    before: dict[str, Tensor]
    training: bool


@pytest.fixture(scope="module", params=[(form, network) for form in FORMATS for network in NETWORKS], ids="-".join)
def made(request: pytest.FixtureRequest) -> Made:
    """A network in training mode, exported."""
    torch.manual_seed(0)
    form, name = request.param
    network = NETWORKS[name]().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    batches = random_batches(IMAGE)
    exported = export(network, batches, file_format=FORMATS[form], tolerance=1e-4, metadata={"space": "mine"})
    return Made(network, FORMATS[form], exported, before, network.training)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_file_computes_the_logits_of_the_network(made: Made, size: int) -> None:
    network, exported = made.network, made.exported
    images = torch.randn(size, *IMAGE, generator=torch.Generator().manual_seed(size))
    with torch.no_grad():
        wanted = network.eval()(images)
    found = made.form.load(exported.data)(images).logits
    assert found.shape == wanted.shape == (size, 10)
    assert (found - wanted).abs().max() <= exported.comparison.allowed
    assert exported.comparison.difference <= exported.comparison.allowed
    assert wanted.std() > 1000 * (found - wanted).abs().max()


def test_the_network_is_left_as_it_is(made: Made) -> None:
    assert made.training
    after = made.network.state_dict()
    assert made.before.keys() == after.keys()
    assert all(torch.equal(made.before[name], after[name]) for name in after)


def test_the_file_says_what_it_is(made: Made) -> None:
    metadata = made.form.metadata(made.exported.data)
    assert metadata["space"] == "mine"
    bits = {path: {"weight_bits": weight, "input_bits": given} for path, (weight, given) in BITS.items()}
    assert json.loads(metadata["bits"]) == (bits if isinstance(made.network, QuantizedNetwork) else {})


@pytest.mark.parametrize("data", [b"", b"mine", b"PK\x05\x06" + 18 * b"\0"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_of_another_kind_says_nothing(form: str, data: bytes) -> None:
    assert FORMATS[form].metadata(data) == {}


@pytest.mark.slow
def test_the_formats_tell_each_other_apart() -> None:
    files = {
        name: export(Plain(), random_batches(IMAGE), file_format=form, tolerance=1e-4, metadata={"a": "b"}).data
        for name, form in FORMATS.items()
    }
    assert [[form.metadata(files[name]).get("a") for form in FORMATS.values()] for name in FORMATS] == [
        ["b", None],
        [None, "b"],
    ]


READERS = {
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession("file")
logits = session.run(None, {"images": np.load("images.npy")})[0]
""",
    "pt2": """
import torch
logits = torch.export.load("file").module()(torch.from_numpy(np.load("images.npy"))).detach().numpy()
""",
}


@pytest.mark.parametrize("form", ["onnx", pytest.param("pt2", marks=pytest.mark.slow)])
def test_a_program_without_this_package_reads_the_file(form: str, tmp_path: Path) -> None:
    network = QuantizedNetwork()
    exported = export(network, random_batches(IMAGE), file_format=FORMATS[form], tolerance=1e-4, metadata={})
    (tmp_path / "file").write_bytes(exported.data)
    images = torch.randn(4, *IMAGE)
    np.save(tmp_path / "images.npy", images.numpy())
    absent = "import sys\nsys.modules['nas'] = None\nimport numpy as np\n"
    program = f"{absent}{READERS[form]}\nnp.save('logits.npy', logits)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=240)
    with torch.no_grad():
        wanted = network.eval()(images)
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "logits.npy")), wanted, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_a_pt2_file_holds_no_operation_of_this_package(tmp_path: Path) -> None:
    network = QuantizedNetwork()
    data = export(network, random_batches(IMAGE), file_format=Pt2(), tolerance=1e-4, metadata={}).data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (program,) = (archive.read(name) for name in archive.namelist() if name.endswith("models/model.json"))
    targets = re.findall(rb'"target": ?"([^"]+)"', program)
    assert b"torch.ops.aten.round.default" in targets
    assert not [target for target in targets if not target.startswith((b"torch.ops.aten.", b"_operator."))]


class Branching(nn.Module):
    """Looks at its images before it decides what to do."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)) if x.sum() > 0 else x.amax(dim=(2, 3))


class OneImage(nn.Module):
    """Only for batches of two."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)).reshape(2, -1)


@pytest.mark.parametrize("network", [Branching(), OneImage()])
def test_a_network_that_cannot_be_traced_is_a_mistake(network: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"cannot be traced by torch.export: .*; its forward pass must not depend"):
        export(network, random_batches(IMAGE), file_format=Pt2(), tolerance=1e-4, metadata={})
