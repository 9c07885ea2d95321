"""A data set in one NumPy file."""

import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from nas.data import jpeg_pack
from nas.data.in_memory import InMemory, Labelled, Part
from nas.data.split import Split
from nas.reading import check_archive, one_line, opened

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
LARGEST_FILE = 64 * 2**30
"""Bytes: all of ImageNet at 128x128 pixels."""
LARGEST_EXPANSION = 32
"""Bytes that a byte of a file may become: images compress less than tenfold, malicious zip files a thousandfold."""
ALWAYS_ALLOWED = 2**28
"""Bytes that any file may become, as a few blank images do."""
ARRAY = b"\x93NUMPY"
"""How a file of a single array begins."""

Entry = Callable[[str], np.ndarray]


class Npz(InMemory):
    """The images and labels in the file `root`, in one of two layouts that their keys tell apart.

    Arrays: `x_train`, `y_train`, `x_test`, `y_test`; x is uint8 (N, H, W) or (N, H, W, C), y integer (N,).
    JPEG pack: `header`, `data`, `offsets`, `labels`, `split`, `classes`, as `nas.data.jpeg_pack` describes.
    Entries of the test set are not read for training. Pickled objects are never loaded.

    Raises:
        ValueError: no root, and as in `InMemory`; when read, a file that is missing, damaged or of another layout.
    """

    def __init__(
        self,
        *,
        root: str | None,
        padding: int = 0,
        flip: bool = False,
        cutout: int = 0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        split: Split,
    ) -> None:
        super().__init__(split=split, padding=padding, flip=flip, cutout=cutout, mean=mean, std=std)
        if not root:
            raise ValueError("data=npz needs a file: give data.root=FILE.npz")
        self.root = Path(root).expanduser()

    def read(self, part: Part) -> Labelled:
        with self._open() as file:  # our own handle: np.load leaves its own open when it fails
            self._check(file)
            return self._read(file, part)

    def _open(self) -> BinaryIO:
        try:
            return opened(self.root, LARGEST_FILE)
        except ValueError as error:
            raise ValueError(f"data.root: {error}; point it at an .npz file") from None

    def _check(self, file: BinaryIO) -> None:
        if file.read(len(ARRAY)) == ARRAY:
            raise ValueError(f"{str(self.root)!r} is a single array; data.root wants an .npz file {_layouts()}")
        largest = max(ALWAYS_ALLOWED, LARGEST_EXPANSION * os.fstat(file.fileno()).st_size)
        try:
            check_archive(file, largest=largest, methods={zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
        except ValueError as error:
            raise ValueError(f"{str(self.root)!r} is not a readable .npz file ({error})") from None

    def _read(self, file: BinaryIO, part: Part) -> Labelled:
        archive = np.load(file, allow_pickle=False)

        def entry(key: str) -> np.ndarray:
            try:
                found = archive[key]
            except Exception as error:  # what numpy, zipfile and zlib raise has no class in common
                reason = one_line(error) or type(error).__name__
                raise ValueError(f"entry {key!r} of {str(self.root)!r} cannot be read ({reason})") from None
            if not isinstance(found, np.ndarray):
                raise ValueError(f"entry {key!r} of {str(self.root)!r} is no array")
            return found

        keys = set(archive.files)
        if keys == set(ARRAYS):
            return _arrays(entry, part)
        if keys == set(jpeg_pack.KEYS):
            return jpeg_pack.read(entry, part, self.root)
        raise ValueError(
            f"{str(self.root)!r} holds {one_line(', '.join(sorted(keys))) or 'nothing'}; it needs to hold {_layouts()}"
        )


def _arrays(entry: Entry, part: Part) -> Labelled:
    x, y = f"x_{part}", f"y_{part}"
    images, labels = entry(x), entry(y)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise ValueError(
            f"{x} is {images.dtype} of shape {images.shape}; it needs to be uint8 (N, H, W) or (N, H, W, C)"
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise ValueError(
            f"{y} is {labels.dtype} of shape {labels.shape}; it needs to hold one integer for each of the "
            f"{len(images)} images in {x}: shape ({len(images)},)"
        )
    pixels = torch.from_numpy(images if images.ndim == 4 else images[..., None]).permute(0, 3, 1, 2).contiguous()
    return Labelled(pixels, torch.from_numpy(labels.astype(np.int64)))


def _layouts() -> str:
    return f"either {', '.join(ARRAYS)} or {', '.join(jpeg_pack.KEYS)}, and nothing else"
