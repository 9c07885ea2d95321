"""Many small JPEG images of one size in one .npz file: the header that they share is stored once.

header (bytes,) uint8; data (bytes,) uint8, all scans; offsets (N + 1,) integer; labels (N,) integer;
split (N,) integer, 0 for training and 1 for the test; classes (K,) names.
Image i is the JPEG file `header + data[offsets[i]:offsets[i + 1]]`.
"""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from nas.data import decoded
from nas.data.in_memory import Labelled
from nas.data.picture_file import decode

KEYS = ("header", "data", "offsets", "labels", "split", "classes")
CHANNELS = {"L": 1, "RGB": 3}
LARGEST_EXPANSION = 200
"""Bytes of pixels for a byte of the pack: photographs take five to twenty, and blank images up to a thousand."""
ALWAYS_ALLOWED = 2**28
"""Bytes of pixels that any pack may have."""


def read(entry: Callable[[str], np.ndarray], part: Literal["train", "test"], path: Path) -> Labelled:
    """The images of one part of the pack at `path`, whose entries `entry` returns; decoded once and then cached.

    Raises:
        ValueError: entries that do not fit together, or an image that does not decode.
    """
    header, data, offsets, labels, split = (entry(key) for key in KEYS[:5])
    _check_bytes(header, data, offsets, path)
    count = len(offsets) - 1
    for name, values in (("labels", labels), ("split", split)):
        if values.dtype.kind not in "iu" or values.shape != (count,):
            raise ValueError(
                f"{name} of {str(path)!r} is {values.dtype} of shape {values.shape}; "
                f"it needs one integer for each of the {count} images of offsets"
            )
    if not np.isin(split, (0, 1)).all():
        raise ValueError(f"split of {str(path)!r} holds {np.unique(split)}; allowed are 0 (train) and 1 (test)")
    classes = entry("classes")
    if classes.dtype.kind != "U" or classes.ndim != 1 or 0 in (classes.dtype.itemsize, len(classes)):
        raise ValueError(f"classes of {str(path)!r} is {classes.dtype} {classes.shape}; it needs to be names (K,)")
    chosen = np.flatnonzero(split == (part == "test"))
    if len(chosen) == 0:
        raise ValueError(f"split of {str(path)!r} marks no image as {part}; it needs at least one")
    pixels = decoded.cached(
        path, part, count=len(chosen), decode=lambda: _decode(header.tobytes(), data, offsets, chosen, path)
    )
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return Labelled(images, torch.from_numpy(labels[chosen].astype(np.int64)), len(classes))


def _check_bytes(header: np.ndarray, data: np.ndarray, offsets: np.ndarray, path: Path) -> None:
    for name, values in (("header", header), ("data", data)):
        if values.dtype != np.uint8 or values.ndim != 1:
            raise ValueError(f"{name} of {str(path)!r} is {values.dtype} {values.shape}; it needs to be uint8 (bytes,)")
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or len(offsets) < 2:
        raise ValueError(f"offsets of {str(path)!r} is {offsets.dtype} {offsets.shape}; it needs to be int64 (N + 1,)")
    if offsets[0] != 0 or offsets[-1] != len(data) or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(
            f"offsets of {str(path)!r} run from {offsets[0]} to {offsets[-1]}; "
            f"they need to rise from 0 to {len(data)}, the length of data"
        )


def _decode(header: bytes, data: np.ndarray, offsets: np.ndarray, chosen: np.ndarray, path: Path) -> np.ndarray:
    """The chosen images, (N, H, W, C) uint8."""
    shape = _pixels(header, data, offsets, chosen[0], path).shape
    size, largest = len(chosen) * math.prod(shape), max(ALWAYS_ALLOWED, LARGEST_EXPANSION * len(data))
    if size > largest:
        raise ValueError(f"{str(path)!r} has {size:,} bytes of pixels; a pack of its size may have {largest:,}")
    images = np.empty((len(chosen), *shape), np.uint8)
    for place, index in enumerate(chosen):
        image = _pixels(header, data, offsets, index, path)
        if image.shape != shape:
            raise ValueError(
                f"image {index} of {str(path)!r} has the shape {image.shape}, image {chosen[0]} {shape}; give all one"
            )
        images[place] = image
    return images


def _pixels(header: bytes, data: np.ndarray, offsets: np.ndarray, index: int, path: Path) -> np.ndarray:
    scan = data[offsets[index] : offsets[index + 1]]
    try:
        image = decode(io.BytesIO(header + scan.tobytes()), formats=("JPEG",))
    except ValueError as error:
        raise ValueError(f"image {index} of {str(path)!r} does not decode as JPEG ({error})") from None
    if image.mode not in CHANNELS:
        raise ValueError(f"image {index} of {str(path)!r} has mode {image.mode}; allowed are {', '.join(CHANNELS)}")
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], CHANNELS[image.mode])
