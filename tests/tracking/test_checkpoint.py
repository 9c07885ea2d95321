import collections
import random

import numpy as np
import pytest
import torch
from torch import nn

from nas.tracking import load_checkpoint, save_checkpoint


def same(one, other) -> bool:
    """Equal in types, structure and every bit; NaN equals NaN."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bool(torch.equal(bits(one), bits(other)))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or one != one)


def bits(tensor):
    return tensor.contiguous().view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)


def training_state():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()
    return {
        "epoch": 7,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": {"torch": torch.get_rng_state(), "python": random.getstate()},
        "odd": [float("nan"), -0.0, 1e300, 10**30, True, None, "µ", (), torch.tensor([float("nan"), -0.0]).bfloat16()],
    }


def test_a_training_state_comes_back_bit_for_bit(tmp_path):
    state = training_state()
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    assert same(load_checkpoint(tmp_path / "checkpoint.pt"), state)


def test_plain_torch_reads_it_without_running_code(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", {"epoch": 1})
    data = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert data == {"format": "nas-checkpoint", "version": 2, "state": {"epoch": 1}}


def test_random_streams_go_on_after_a_round_trip(tmp_path):
    save_checkpoint(tmp_path / "c.pt", {"torch": torch.get_rng_state(), "python": random.getstate()})
    expected = torch.rand(3), random.random()
    state = load_checkpoint(tmp_path / "c.pt")
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    assert torch.equal(torch.rand(3), expected[0])
    assert random.random() == expected[1]


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"a": {"b": [0, np.float64(1)]}}, r"state\['a'\]\['b'\]\[1\] is a numpy.float64"),
        ({"a": np.zeros(1)}, r"state\['a'\] is a numpy.ndarray"),
        ({"a": (Pair(1, 2),)}, r"state\['a'\]\[0\] is a tests.tracking.test_checkpoint.Pair"),
        ({"a": {1, 2}}, r"state\['a'\] is a builtins.set"),
        ({"a": {np.int64(3): 0}}, r"the key np.int64\(3\) of state\['a'\] is a numpy.int64"),
        ({"a": collections.defaultdict(list)}, r"state\['a'\] is a collections.defaultdict"),
        ({"a": nn.Linear(1, 1)}, r"state\['a'\] is a torch.nn.modules.linear.Linear"),
    ],
)
def test_other_objects_are_refused_by_their_keys_and_the_old_file_stays(tmp_path, state, place):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises(ValueError, match=place):
        save_checkpoint(path, state)
    assert load_checkpoint(path) == {"epoch": 1}


def refused(path) -> str:
    with pytest.raises(ValueError, match="checkpoint") as error:
        load_checkpoint(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_missing_file_is_named(tmp_path):
    assert "there is no checkpoint" in refused(tmp_path / "checkpoint.pt")
    assert "there is no checkpoint" in refused(tmp_path)


@pytest.mark.parametrize("length", [0, 10, 600, -1])
def test_half_a_file_is_damaged(tmp_path, length):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, training_state())
    path.write_bytes(path.read_bytes()[:length])
    assert "damaged" in refused(path)


def test_one_flipped_bit_of_a_tensor_is_noticed(tmp_path):
    path, values = tmp_path / "checkpoint.pt", torch.arange(100.0)
    save_checkpoint(path, {"values": values})
    data = bytearray(path.read_bytes())
    data[data.index(values.numpy().tobytes()) + 8] ^= 1
    path.write_bytes(data)
    assert "damaged" in refused(path)


def test_files_of_other_programs_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    assert "damaged or no checkpoint" in refused(tmp_path / "text.pt")
    torch.save(nn.Linear(1, 1).state_dict(), tmp_path / "foreign.pt")
    assert "another program" in refused(tmp_path / "foreign.pt")
    torch.save(torch.ones(1), tmp_path / "tensor.pt")
    assert "another program" in refused(tmp_path / "tensor.pt")
    torch.save(nn.Linear(1, 1), tmp_path / "module.pt")
    assert "no checkpoint: it names classes or functions" in refused(tmp_path / "module.pt")
    torch.save({"format": "nas-checkpoint", "version": 3, "state": {}}, tmp_path / "later.pt")
    assert "version 3; this program reads 2" in refused(tmp_path / "later.pt")


def test_a_zip_that_is_no_checkpoint_is_refused(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "cannot be read" in refused(tmp_path / "a.zip")
