"""Checkpoints that are plain data: a reader never runs code from them."""

import io
import os
from pathlib import Path
from typing import Any

import torch

from nas.reading import check_plain, load_tensors, shown
from nas.tracking.files import write_atomically

FORMAT = "nas-checkpoint"
VERSION = 2


def save_checkpoint(path: Path | str, state: dict[str, Any], *, former: Path | None = None) -> None:
    """Writes `state` atomically as `{"format": "nas-checkpoint", "version": 2, "state": state}`, by `torch.save`.

    `state` nests dicts, lists and tuples of tensors, numbers, strings, booleans and None, so that
    `torch.load(weights_only=True)` reads it: state dicts and random states fit, numpy scalars and namedtuples do not.
    A checkpoint that is there gets the name `former`, where one is given.

    Raises:
        ValueError: anything else in `state`, with the path of its keys; nothing is written then.
    """
    check_plain(state, "state")
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "version": VERSION, "state": state}, buffer)
    write_atomically(path, buffer.getvalue(), former=former)


def load_checkpoint(path: Path | str, map_location: torch.device | str = "cpu") -> dict[str, Any]:
    """The state that `save_checkpoint` wrote, its tensors on `map_location`.

    Raises:
        ValueError: no file, a damaged one (every byte is checked against the checksums), or one of another program.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise ValueError(f"there is no checkpoint {path}: give the path of one, or start the run afresh")
    data = load_tensors(path, "checkpoint", map_location)
    if type(data) is not dict or data.get("format") != FORMAT:
        raise ValueError(f"{path} was written by another program: it has no 'format': {FORMAT!r}; give one of this one")
    if type(data.get("version")) is not int or data["version"] != VERSION:
        raise ValueError(
            f"{path} has checkpoint version {shown(data.get('version'))}; this program reads {VERSION}: "
            "use the one that wrote it"
        )
    if type(data.get("state")) is not dict:
        raise ValueError(f"{path} is a checkpoint without a state; give another one")
    return data["state"]
