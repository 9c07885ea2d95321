"""Files that a killed run never leaves half written."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from nas.reading import parse_json, read_bytes, shown

LARGEST_LOG = 256_000_000
"""Bytes: 10,000 epochs with the alphas of several thousand candidates."""


@contextmanager
def errors_of(path: Path | str) -> Iterator[None]:
    """Errors of the system in this block name `path`: those of writing name no file, others a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_atomically(path: Path | str, data: bytes | str, *, former: Path | None = None) -> None:
    """Writes the whole file or nothing: a temporary name in the same folder, fsync, then a rename over `path`.

    Text is written as UTF-8. A file that is there gets the name `former`, where one is given. On failure the old file
    is untouched, the temporary one removed, and the error passes on, as one of `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with errors_of(path):
        try:
            temporary.unlink(missing_ok=True)
            with open(temporary, "xb") as file:  # "x": a link of that name would lead elsewhere
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            if former is not None and path.exists():
                os.replace(path, former)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def remove_unfinished(folder: Path | str) -> None:
    """Removes what killed processes left of the files that `write_atomically` writes; for who alone has the folder."""
    for path in Path(folder).glob(".*.[0-9]*.tmp"):
        path.unlink()


def append_line(path: Path | str, data: dict[str, Any]) -> None:
    """Appends `data` as one line of JSON and flushes it; cuts off first what a killed run left of an unfinished line.

    JSON has no NaN and no infinity: they become null. Anything else that JSON lacks is a TypeError; nothing is written.
    A link is an OSError: in a folder of a stranger it may lead to any file.
    """
    line = json_line(data).encode()
    with errors_of(path), open(path, "a+b", opener=_no_link) as file:
        _cut_unfinished_line(file)
        file.write(line)


def read_lines(path: Path | str) -> list[dict[str, Any]]:
    """What `append_line` wrote, oldest first, without a last line that is unfinished.

    Raises:
        ValueError: a line that is not a JSON object, with its number; no such file, or one that is too large.
    """
    finished = read_bytes(path, LARGEST_LOG).split(b"\n")[:-1]
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(finished, start=1)]


def json_line(data: dict[str, Any]) -> str:
    """`data` as `append_line` writes it, with its end of line."""
    return json.dumps(json_data(data), allow_nan=False) + "\n"


def json_data(value: Any) -> Any:
    """The same data with null where a float is NaN or infinite, and lists for tuples."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: json_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_data(item) for item in value]
    return value


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, mode=0o666)


def _cut_unfinished_line(file: BinaryIO) -> None:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def _parse(line: bytes, place: str) -> dict[str, Any]:
    try:
        data = parse_json(line)
    except ValueError as error:
        raise ValueError(f"{place} is not JSON ({error}): it was not written by append_line, or was edited") from None
    if not isinstance(data, dict):
        raise ValueError(f"{place} is {shown(data)}; a line holds one JSON object: remove or mend it")
    return data
