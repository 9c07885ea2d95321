"""A data set in one NumPy file."""

import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from nas.data import jpeg_pack
from nas.data.in_memory import InMemory, Labelled, Part
from nas.data.split import Split

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
READING = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)

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
            try:
                archive = np.load(file, allow_pickle=False)
            except READING as error:
                raise ValueError(f"{str(self.root)!r} is not a readable .npz file ({one_line(error)})") from None
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError(f"{str(self.root)!r} is a single array; data.root wants an .npz file {_layouts()}")
            return self._read(archive, part)

    def _open(self) -> BinaryIO:
        try:
            return self.root.open("rb")
        except OSError as error:
            raise ValueError(
                f"{str(self.root)!r} cannot be opened ({error.strerror}); point data.root at an .npz file"
            ) from None

    def _read(self, archive: "np.lib.npyio.NpzFile", part: Part) -> Labelled:
        def entry(key: str) -> np.ndarray:
            try:
                return archive[key]
            except READING as error:
                raise ValueError(f"entry {key!r} of {str(self.root)!r} cannot be read ({one_line(error)})") from None

        keys = set(archive.files)
        if keys == set(ARRAYS):
            return _arrays(entry, part)
        if keys == set(jpeg_pack.KEYS):
            return jpeg_pack.read(entry, part, self.root)
        raise ValueError(
            f"{str(self.root)!r} holds {', '.join(sorted(keys)) or 'nothing'}; it needs to hold {_layouts()}"
        )


def _arrays(entry: Entry, part: Part) -> Labelled:
    x, y = f"x_{part}", f"y_{part}"
    images, labels = entry(x), entry(y)
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
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


def one_line(error: Exception) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())


def _layouts() -> str:
    return f"either {', '.join(ARRAYS)} or {', '.join(jpeg_pack.KEYS)}, and nothing else"
