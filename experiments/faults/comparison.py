"""How a run that was left and taken up again differs from one that was not: in nothing but its times."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from nas.tracking import load_checkpoint, read_lines

TIMES = ("seconds", "wall_seconds")
LINES = ("search.jsonl", "train.jsonl", "candidates.jsonl")
BYTES = ("genotype.json", "genotype.dot", "genotype.svg", "genotype.png", "evolution.gif")


@dataclass(frozen=True)
class Difference:
    """A place that differs, and by how much where it holds numbers; infinitely where it cannot be said."""

    place: str
    size: float


def differences(run: Path, whole: Path) -> list[Difference]:
    """Every place in which two run directories differ, apart from times: bits of numbers, bytes of pictures."""
    return list(_compared("", result(run), result(whole)))


def result(run: Path) -> dict[str, Any]:
    """All that a run directory holds but its times: the state, the lines, the summary, pictures and curves."""
    state = load_checkpoint(run / "checkpoint.pt")
    records = [json.loads(line) for line in state.pop("records")]
    del state["settings"], state["seconds"]  # resume=true is one of the settings
    found = {name: (run / name) for name in (*LINES, *BYTES) if (run / name).exists()}
    return timeless(
        {
            "checkpoint": state,
            "records": records,
            "summary": json.loads((run / "summary.json").read_text()),
            "files": sorted(found),
            **{name: read_lines(path) for name, path in found.items() if name in LINES},
            **{name: _digest(path.read_bytes()) for name, path in found.items() if name in BYTES},
            "curves": curves(run),
        }
    )


def curves(run: Path) -> dict[str, list[tuple[int, Any]]]:
    """What TensorBoard shows: (step, value) of every scalar, (step, digest) of every picture."""
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0}).Reload()
    tags = events.Tags()
    return {
        **{tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in sorted(tags["scalars"])},
        **{
            tag: [(one.step, _digest(one.encoded_image_string)) for one in events.Images(tag)]
            for tag in sorted(tags["images"])
        },
    }


def timeless(value: Any) -> Any:
    """Nested data without what is called as a time."""
    if isinstance(value, Mapping):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list | tuple) else value


def _compared(place: str, one: Any, other: Any) -> Iterator[Difference]:
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        for key in one:
            yield from _compared(f"{place}/{key}", one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from _compared(f"{place}/{index}", *pair)
    elif _bits(one) != _bits(other):
        yield Difference(place, _size(one, other))


def _bits(value: Any) -> Any:
    """What is equal where the bits are: a zero below zero is another than one above it."""
    if isinstance(value, Tensor):
        return value.dtype, tuple(value.shape), value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return repr(value)


def _size(one: Any, other: Any) -> float:
    try:
        numbers, others = torch.as_tensor(one).double(), torch.as_tensor(other).double()
    except (TypeError, ValueError, RuntimeError):
        return math.inf
    difference = float((numbers - others).abs().max()) if numbers.shape == others.shape else math.inf
    return math.inf if math.isnan(difference) else difference


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
