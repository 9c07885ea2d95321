"""Damage to what torch.save writes: other states, other tensors, and pickles that want to run something."""

import collections
import io
import math
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from experiments.faults.archive_mutations import mutate_archive
from experiments.faults.value_mutations import mutate_value


class Trap:
    """Runs a function when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


def laughs(levels: int = 30) -> list[Any]:
    """A list of ten lists, the same one ten times, and so on: 10^levels values in a short pickle."""
    inner: list[Any] = ["ha"]
    for _ in range(levels):
        inner = [inner] * 10
    return inner


def circle() -> list[Any]:
    """A list that holds itself."""
    inner: list[Any] = []
    inner.append(inner)
    return inner


def _odd_values(rng: random.Random) -> Any:
    """Values that a checkpoint of this program never holds."""
    claimed = torch.zeros(4).untyped_storage()
    return rng.choice(
        (
            lambda: Trap(os.abort),
            lambda: Trap(os.mkdir, "stolen"),
            lambda: Trap(eval, "1"),
            lambda: Trap(torch._utils._rebuild_tensor_v2, torch.zeros(4).storage(), 0, (10**12,), (1,), False, {}),
            lambda: Trap(torch._utils._rebuild_tensor_v2, torch.zeros(4).storage(), 0, (10**12,), (0,), False, {}),
            lambda: Trap(torch._utils._rebuild_tensor_v2, torch.zeros(4).storage(), 0, (-3,), (1,), False, {}),
            lambda: Trap(torch._utils._rebuild_tensor_v2, torch.zeros(4).storage(), 9, (3,), (1,), False, 3),
            lambda: laughs(),
            lambda: circle(),
            lambda: collections.OrderedDict,
            lambda: collections.Counter("aab"),
            lambda: torch.zeros(3, device="meta"),
            lambda: torch.eye(3).to_sparse(),
            lambda: torch.zeros(3).expand(10**9, 3),
            lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
            lambda: torch.tensor([float("nan")]),
            lambda: torch.zeros(2, 3, dtype=torch.complex64),
            lambda: torch.zeros(0),
            lambda: nn.Parameter(torch.zeros(3)),
            lambda: nn.Linear(2, 2),
            lambda: torch.Size([3]),
            lambda: torch.float16,
            lambda: torch.device("cuda", 7),
            lambda: {1, 2},
            lambda: b"bytes",
            lambda: claimed,
            lambda: 10**40,
            lambda: {3: {4: [5]}},
        )
    )()


def mutate_state(data: bytes, rng: random.Random) -> bytes:
    """A file of torch.save with one odd value in it, or with other plain values."""
    plain = _plain(torch.load(io.BytesIO(data), weights_only=True))
    if rng.random() < 0.5:
        changed = mutate_value(plain, rng)
    else:
        changed = plain
        holder = plain
        for _ in range(rng.randrange(4)):
            holder = next((holder[key] for key in rng.sample(list(holder), len(holder)) if _holds(holder[key])), holder)
        holder[rng.choice([*holder, "odd"])] = _odd_values(rng)
    return _saved(changed)


def mutate_optimizer(data: bytes, rng: random.Random) -> bytes:
    """A checkpoint in which the state of an optimizer is damaged: what it keeps, or its settings."""
    return _mutated(data, rng, lambda key: key.endswith("optimizer"))


def mutate_position(data: bytes, rng: random.Random) -> bytes:
    """A checkpoint in which all may be damaged but the weights and what optimizers keep."""
    return _mutated(data, rng, lambda key: not key.endswith(("optimizer", "weights")))


def _mutated(data: bytes, rng: random.Random, chosen: Callable[[str], bool]) -> bytes:
    """Some entries of a state, or numbers in the tensors of one, are others."""
    whole = _plain(torch.load(io.BytesIO(data), weights_only=True))
    part = {key: value for key, value in whole["state"].items() if chosen(key)}
    changed = _other_numbers(part, rng) if rng.random() < 1 / 4 else mutate_value(part, rng)
    rest = {key: value for key, value in whole["state"].items() if not chosen(key)}
    whole["state"] = {**rest, **changed} if isinstance(changed, dict) else changed
    return _saved(whole)


def _other_numbers(value: Any, rng: random.Random) -> Any:
    """The same with a tenth of its tensors, and of its numbers, of another shape, type or size."""
    if isinstance(value, dict):
        return {key: _other_numbers(item, rng) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_other_numbers(item, rng) for item in value)
    if rng.random() > 0.1 or not isinstance(value, torch.Tensor | int | float):
        return value
    if not isinstance(value, torch.Tensor):
        return rng.choice((-1, 0, 1e30, -value, math.nan, math.inf, True, torch.tensor(0.5)))
    number = rng.choice((-1, 0, 1, math.nan, math.inf, 1e30))
    return rng.choice(
        (
            lambda: value.double(),
            lambda: value.to(torch.int64) if not value.is_complex() else value,
            lambda: value[None],
            lambda: value.flatten()[:1],
            lambda: torch.full_like(value, number) if value.is_floating_point() else value + 1,
            lambda: value.to(torch.complex64),
        )
    )()


def mutate_torch_archive(data: bytes, rng: random.Random) -> bytes:
    """Other records behind right checksums, most of them the pickle itself; every eighth is the form of old PyTorch."""
    if rng.random() < 1 / 8:
        file = io.BytesIO()
        torch.save(torch.load(io.BytesIO(data), weights_only=True), file, _use_new_zipfile_serialization=False)
        return file.getvalue()
    if rng.random() < 1 / 8:
        return pickle.dumps(Trap(os.abort))
    return mutate_archive(data, rng)


def _holds(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _saved(value: Any) -> bytes:
    """By torch.save, and where that refuses, its pickle in an archive like its own."""
    file = io.BytesIO()
    try:
        torch.save(value, file)
    except (RuntimeError, pickle.PicklingError, AttributeError, NotImplementedError):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(None))
            archive.writestr("archive/version", "3\n")
    return file.getvalue()
