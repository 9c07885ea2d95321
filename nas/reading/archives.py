"""Zip files, looked at before anything is taken out of them."""

import zipfile
from collections.abc import Container
from typing import BinaryIO

from nas.reading.words import one_line, shown

ENCRYPTED = 1
"""The bit of an entry's flags."""


def check_archive(file: BinaryIO, *, largest: int, methods: Container[int]) -> None:
    """A ValueError unless this is a zip file whose entries have one of the compression `methods` and a name each, and
    take together at most `largest` bytes when they are unpacked; one line without the name of the file.

    What an entry says of its size binds those who read it: `zipfile` gives no byte more. Leaves the file at its start.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except Exception as error:  # zipfile raises what its parts do: BadZipFile, struct.error, NotImplementedError, …
        raise ValueError(one_line(error) or type(error).__name__) from None
    names = set()
    for entry in entries:
        if entry.filename in names:
            raise ValueError(f"it has the entry {shown(entry.filename)} twice")
        names.add(entry.filename)
        if entry.flag_bits & ENCRYPTED:
            raise ValueError(f"its entry {shown(entry.filename)} is encrypted")
        if entry.compress_type not in methods:
            raise ValueError(f"its entry {shown(entry.filename)} has a compression that such a file does not have")
    if (size := sum(entry.file_size for entry in entries)) > largest:
        raise ValueError(f"unpacked it has {size:,} bytes; a file of its size and kind may have {largest:,}")
    file.seek(0)
