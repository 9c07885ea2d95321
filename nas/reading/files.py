"""Opening a file that a person may have from a stranger."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
"""What is no file that can be read from its beginning to its end: some of them would let the program wait forever."""

PART = 2**24
"""Bytes that are read at once."""


def opened(path: Path | str, limit: int) -> BinaryIO:
    """A file of at most `limit` bytes, open for reading; like other files, a context manager.

    Raises:
        ValueError: nothing that can be read there, no regular file, or a larger one; one line that names it.
    """
    try:
        found = os.stat(path)
        kind = stat.S_IFMT(found.st_mode)
        if kind != stat.S_IFREG:
            raise ValueError(f"{str(path)!r} is {KINDS.get(kind, 'something else')}, not a file")
        _check_size(path, found.st_size, limit)
        return open(path, "rb")
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None


def read_bytes(path: Path | str, limit: int) -> bytes:
    """What a file holds; errors as in `opened`."""
    with opened(path, limit) as file:
        parts, size = [], 0
        try:
            # not all of it, as some files of the system are longer than they say; nor at once, which takes memory
            while size <= limit and (part := file.read(min(PART, limit + 1 - size))):
                parts.append(part)
                size += len(part)
        except OSError as error:
            raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    _check_size(path, size, limit)
    return b"".join(parts)


def read_text(path: Path | str, limit: int) -> str:
    """The UTF-8 text in a file; errors as in `opened`, and a ValueError for bytes that are no text."""
    try:
        return read_bytes(path, limit).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not text: byte {error.start} is not UTF-8") from None


def _check_size(path: Path | str, size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"{str(path)!r} has {size:,} bytes or more; a file of its kind may have {limit:,}")
