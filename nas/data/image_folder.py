"""Images in a folder a class, too large or too many for memory."""

from collections.abc import Sequence
from pathlib import Path

import torch

from nas.data.decoding import Views
from nas.data.files import FileSamples
from nas.data.source import DataSource
from nas.data.split import Split
from nas.data.statistics import Statistics

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")


class ImageFolder(DataSource):
    """`root/train/CLASS/*` and `root/val/CLASS/*` (or `root/test`), decoded and augmented by `workers` processes.

    Images have three channels and `size` x `size` pixels. Classes are numbered in the order of their names.

    Raises:
        ValueError: no root, size or workers out of range, and as in `Statistics`; when read, a folder that is missing
            or holds no images, and a test set with other classes than the training set.
    """

    def __init__(
        self,
        *,
        root: str | None,
        size: int = 224,
        workers: int = 4,
        flip: bool = True,
        cutout: int = 0,
        mean: Sequence[float],
        std: Sequence[float],
        split: Split,
    ) -> None:
        if not root:
            raise ValueError("data=image_folder needs a folder with train/ and val/: give data.root=FOLDER")
        if size < 1:
            raise ValueError(f"data.size {size} is not a number of pixels; choose at least 1")
        if workers < 0:
            raise ValueError(f"data.workers {workers} is negative; choose 0 (decode in the main process) or more")
        if not 0 <= cutout <= size:
            raise ValueError(f"data.cutout {cutout} does not fit into images of {size}x{size}; choose 0 to {size}")
        self.root = Path(root).expanduser()
        self.size = size
        self.workers = workers
        self.flip = flip
        self.cutout = cutout
        self.statistics = Statistics(mean, std)
        self.statistics.check_channels(3)
        self.split = split

    def train(self) -> FileSamples:
        return self._samples("train", _classes(self.root / "train"))

    def test(self) -> FileSamples:
        part = next((name for name in ("val", "test") if (self.root / name).is_dir()), None)
        if part is None:
            raise ValueError(f"{str(self.root)!r} has neither a folder 'val' nor 'test'; data.root wants one of them")
        classes, known = _classes(self.root / part), _classes(self.root / "train")
        if classes != known:
            differing = sorted(set(classes) ^ set(known))
            raise ValueError(
                f"the classes in {part!r} and 'train' of {str(self.root)!r} differ in {', '.join(differing)}; "
                "both need the same folders"
            )
        return self._samples(part, classes)

    def _samples(self, part: str, classes: list[str]) -> FileSamples:
        paths, labels = [], []
        for label, name in enumerate(classes):
            found = sorted(p for p in (self.root / part / name).rglob("*") if p.suffix.lower() in SUFFIXES)
            if not found:
                raise ValueError(
                    f"{str(self.root / part / name)!r} holds no images; "
                    f"a class needs at least one with a name in {' '.join('*' + suffix for suffix in SUFFIXES)}"
                )
            paths += [str(path) for path in found]
            labels += [label] * len(found)
        return FileSamples(
            paths,
            torch.tensor(labels),
            num_classes=len(classes),
            statistics=self.statistics,
            views=Views(size=self.size, flip=self.flip),
            workers=self.workers,
        )


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise ValueError(f"there is no folder {str(folder)!r}; data.root wants train/CLASS/* and val/CLASS/*")
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise ValueError(f"{str(folder)!r} holds no folders; it needs one for each class, with its images")
    return classes
