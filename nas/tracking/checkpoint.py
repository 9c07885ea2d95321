"""Checkpoints that are plain data: a reader never runs code from them."""

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.tracking.files import write_atomically

FORMAT = "nas-checkpoint"
VERSION = 1

LEAVES = (Tensor, nn.Parameter, bool, int, float, str, type(None))
MAPPINGS = (dict, collections.OrderedDict)
SEQUENCES = (list, tuple)


def save_checkpoint(path: Path | str, state: dict[str, Any], *, former: Path | None = None) -> None:
    """Writes `state` atomically as `{"format": "nas-checkpoint", "version": 1, "state": state}`, by `torch.save`.

    `state` nests dicts, lists and tuples of tensors, numbers, strings, booleans and None, so that
    `torch.load(weights_only=True)` reads it: state dicts and random states fit, numpy scalars and namedtuples do not.
    A checkpoint that is there gets the name `former`, where one is given.

    Raises:
        ValueError: anything else in `state`, with the path of its keys; nothing is written then.
    """
    _check(state, "state")
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "version": VERSION, "state": state}, buffer)
    write_atomically(path, buffer.getvalue(), former=former)


def load_checkpoint(path: Path | str, map_location: torch.device | str = "cpu") -> dict[str, Any]:
    """The state that `save_checkpoint` wrote, its tensors on `map_location`.

    Raises:
        ValueError: no file, a damaged one (every byte is checked against the checksums), or one of another program.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {path}: give the path of one, or start the run afresh")
    _check_bytes(path)
    try:
        data = torch.load(path, map_location=map_location, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} cannot be read as a checkpoint: {reason}; give one of this program") from None
    if type(data) is not dict or data.get("format") != FORMAT:
        raise ValueError(f"{path} was written by another program: it has no 'format': {FORMAT!r}; give one of this one")
    if data.get("version") != VERSION:
        raise ValueError(
            f"{path} has checkpoint version {data.get('version')!r}; this program reads {VERSION}: "
            "use the one that wrote it"
        )
    return data["state"]


def _check(value: Any, place: str) -> None:
    kind = type(value)  # exact: numpy's float64 is a float by inheritance, but weights_only refuses it
    if kind in MAPPINGS:
        for key, item in value.items():
            _check(key, f"the key {key!r} of {place}")
            _check(item, f"{place}[{key!r}]")
    elif kind in SEQUENCES:
        for index, item in enumerate(value):
            _check(item, f"{place}[{index}]")
    elif kind not in LEAVES:
        raise ValueError(
            f"{place} is a {kind.__module__}.{kind.__qualname__}; a checkpoint holds tensors, numbers, strings, "
            "booleans, None, and dicts, lists and tuples of them: convert it first"
        )


def _check_bytes(path: Path) -> None:
    """Compares every record with its checksum, which `torch.load` does not do."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        damaged = str(error)
    if damaged:
        raise ValueError(f"{path} is damaged or no checkpoint ({damaged}): give another one, or start the run afresh")
