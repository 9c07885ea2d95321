"""A cache on disk of images that take long to decode."""

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)


def cached(source: Path, part: str, *, count: int, decode: Callable[[], np.ndarray]) -> np.ndarray:
    """What `decode` returns, (count, H, W, C) uint8, read from the cache where it was decoded before.

    The cache is `$NAS_CACHE_DIR`, else `~/.cache/nas`. An entry belongs to the name, size and time of change of the
    file `source`; one that does not read back whole is decoded again. Where nothing can be written, nothing is kept.
    """
    folder = Path(os.environ.get("NAS_CACHE_DIR") or "~/.cache/nas").expanduser()
    stat = source.stat()
    entry = folder / f"{source.name}-{stat.st_size}-{stat.st_mtime_ns}-{part}.npz"
    images = _read(entry, count)
    if images is None:
        images = decode()
        _write(entry, images)
    return images


def _read(entry: Path, count: int) -> np.ndarray | None:
    try:
        with entry.open("rb") as file:
            images = np.load(file, allow_pickle=False)["images"]  # out of a zip file, which has check sums
    except FileNotFoundError:
        return None
    except Exception as error:  # what numpy, zipfile and zlib raise has no class in common
        log.warning("decoding again: the cache %s is damaged (%s)", entry, error)
        return None
    return images if images.dtype == np.uint8 and images.ndim == 4 and len(images) == count else None


def _write(entry: Path, images: np.ndarray) -> None:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".unfinished-") as scratch:
            np.savez(Path(scratch) / "images.npz", images=images)
            os.replace(Path(scratch) / "images.npz", entry)
    except OSError as error:
        log.warning("decoded images are not kept: cannot write %s (%s)", entry, error)
