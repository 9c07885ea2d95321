"""Tensors in a file of torch.save, read without running anything of it."""

import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from nas.reading.archives import check_archive
from nas.reading.files import opened
from nas.reading.plain import MAPPINGS, SEQUENCES, check_plain
from nas.reading.words import one_line, shown

LARGEST = 16 * 2**30
"""Bytes of a file: a checkpoint of the largest networks that are searched has less than 1 GB."""


def load_tensors(path: Path | str, what: str, map_location: torch.device | str = "cpu") -> Any:
    """What `torch.save` wrote into a file: plain data (`check_plain`), its tensors on `map_location`.

    `what` is what messages call such a file.
    Every byte is compared with its checksum, which `torch.load` does not do. Tensors are strided, and none is larger
    than the file, whatever it says of its shape.

    Raises:
        ValueError: no such file, one that is damaged or too large, one of PyTorch before 1.6, which is no zip file, or
            one that holds anything else; one line.
    """
    with opened(path, LARGEST) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            _check_records(file, size)
        except ValueError as error:
            raise ValueError(f"{path} is damaged or no {what}, which PyTorch 1.6 or later writes ({error})") from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = torch.load(file, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError:  # torch's own words advise to read it all the same
            raise ValueError(
                f"{path} is no {what}: it names classes or functions, and to read them runs code"
            ) from None
        except Exception as error:  # torch raises what its parts do: of pickles, of storages, of the records' names
            reason = one_line(str(error).partition("\n")[0]) or type(error).__name__
            raise ValueError(f"{path} cannot be read as a {what}: {reason}") from None
    try:
        check_plain(data, "it")
        _check_tensors(data, torch.device(map_location), size)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a {what}: {error}") from None
    return data


def _check_records(file: BinaryIO, size: int) -> None:
    """torch.save compresses nothing, so that the records are no longer than the file."""
    check_archive(file, largest=size, methods={zipfile.ZIP_STORED})
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except Exception as error:  # as in `check_archive`
        raise ValueError(one_line(error) or type(error).__name__) from None
    if damaged is not None:
        raise ValueError(f"the bytes of {shown(damaged)} do not have their checksum")
    file.seek(0)


def _check_tensors(data: Any, device: torch.device, size: int) -> None:
    for tensor in _tensors(data):
        if tensor.layout != torch.strided or tensor.device.type != device.type or tensor.is_quantized:
            raise ValueError(f"it holds a tensor on {tensor.device} of layout {tensor.layout}, not a plain one")
        if tensor.numel() * tensor.element_size() > size:
            raise ValueError(f"it holds a tensor of shape {list(tensor.shape)}, which is larger than the file")


def _tensors(data: Any) -> Iterator[Tensor]:
    kind = type(data)
    if kind in (Tensor, nn.Parameter):
        yield data
    elif kind in MAPPINGS or kind in SEQUENCES:
        for item in data.values() if kind in MAPPINGS else data:
            yield from _tensors(item)
