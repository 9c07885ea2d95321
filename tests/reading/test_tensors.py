"""What torch.save writes, and what others write that only looks like it."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.faults.checkpoint_mutations import Trap, circle, laughs
from nas.reading import load_tensors


def refusal(path: Path) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_tensors(path, "checkpoint")
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message.replace(str(path), "FILE")


def saved(path: Path, value: Any, **more: Any) -> Path:
    torch.save(value, path, **more)
    return path


def test_plain_data_come_back(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    found = load_tensors(saved(tmp_path / "a.pt", {"a": [weight, weight.T, 3, "x", None], 5: (True, 2.5)}), "file")
    assert torch.equal(found["a"][0], weight)
    assert found["a"][1].data_ptr() == found["a"][0].data_ptr()
    assert found["a"][2:] == [3, "x", None]
    assert found[5] == (True, 2.5)


def rebuilt(shape: tuple[int, ...], stride: tuple[int, ...]) -> Trap:
    """A tensor that says another size of itself than its four numbers have."""
    storage = torch.zeros(4).storage()
    return Trap(torch._utils._rebuild_tensor_v2, storage, 0, shape, stride, False, {})


@pytest.mark.filterwarnings("ignore:TypedStorage")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda: rebuilt((10**6,), (1,)), "FILE cannot be read as a checkpoint: "),
        (lambda: rebuilt((10**12,), (0,)), "a tensor of shape [1000000000000], which is larger than the file"),
        (lambda: torch.zeros(3, device="meta"), "a tensor on meta of layout torch.strided, not a plain one"),
        (lambda: torch.eye(3).to_sparse(), "a tensor on cpu of layout torch.sparse_coo, not a plain one"),
        (lambda: {"a": torch.Size([3])}, "it['a'] is a torch.Size; a checkpoint holds tensors, numbers"),
        (lambda: laughs(), "it holds more than 67,108,864 bytes of values that are no tensors"),
        (lambda: circle(), "is nested more than 64 levels deep"),
        (lambda: nn.Linear(2, 2), "is no checkpoint: it names classes or functions, and to read them runs code"),
        (lambda: Trap(os.abort), "is no checkpoint: it names classes or functions"),
    ],
    ids=["grown", "expanded", "meta", "sparse", "size", "laughs", "circle", "module", "code"],
)
def test_what_is_not_plain_or_not_there_is_refused(value: Any, words: str, tmp_path: Path) -> None:
    assert words in refusal(saved(tmp_path / "a.pt", value()))


def test_a_file_of_old_pytorch_is_no_zip_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"a": torch.zeros(1)}, _use_new_zipfile_serialization=False)
    assert refusal(path) == (
        "FILE is damaged or no checkpoint, which PyTorch 1.6 or later writes (File is not a zip file)"
    )


def test_a_bare_pickle_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Trap(os.abort)))
    assert "no checkpoint" in refusal(tmp_path / "a.pt")


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    """torch would unpack them: 4 MB of zeros out of 4 kB here, and as many gigabytes out of megabytes elsewhere."""
    file = io.BytesIO()
    torch.save({"a": torch.zeros(10**6)}, file)
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(file) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as small:
        for name in plain.namelist():
            small.writestr(name, plain.read(name))
    assert path.stat().st_size < 10_000
    assert torch.load(path, weights_only=True)["a"].shape == (10**6,)
    assert "has a compression that such a file does not have" in refusal(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    values: Tensor = torch.arange(100.0)
    path = saved(tmp_path / "a.pt", {"a": values})
    data = bytearray(path.read_bytes())
    data[data.index(values.numpy().tobytes()) + 8] ^= 1
    path.write_bytes(data)
    assert "the bytes of 'a/data/0' do not have their checksum" in refusal(path)


def test_only_checkpoints_name_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_text("x")
    with pytest.raises(ValueError, match=r"a.pt is damaged or no file of weights, which PyTorch"):
        load_tensors(path, "file of weights")
