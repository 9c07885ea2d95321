"""Damage to zip files behind their checksums: .npz packs and what torch.save writes."""

import io
import random
import re
import struct
import zipfile

import numpy as np

from experiments.faults.bytes_mutations import mutate_bytes

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def mutate_archive(data: bytes, rng: random.Random) -> bytes:
    """Records that are other, missing, called otherwise, packed otherwise, or longer by what the directory says."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change = rng.choice((_other_bytes, _other_bytes, _other_header, _renamed, _dropped, _added, _huge))
    change(entries, rng)
    method = rng.choice((zipfile.ZIP_STORED,) * 5 + METHODS)
    packed = _packed(entries, method)
    return _directory_lies(packed, rng) if rng.random() < 1 / 6 else packed


def _packed(entries: dict[str, bytes], method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def _directory_lies(data: bytes, rng: random.Random) -> bytes:
    """One field of one entry in the directory is another number: flags, method, sizes, place."""
    changed = bytearray(data)
    entries = [match.start() for match in re.finditer(rb"PK\x01\x02", data)]
    offset, form = rng.choice(((8, "<H"), (10, "<H"), (16, "<I"), (20, "<I"), (24, "<I"), (42, "<I")))
    value = rng.choice((0, 1, 9, 99, 65535, 2**31, 2**32 - 1)) & (65535 if form == "<H" else 2**32 - 1)
    struct.pack_into(form, changed, rng.choice(entries) + offset, value)
    return bytes(changed)


def _other_bytes(entries: dict[str, bytes], rng: random.Random) -> None:
    name = rng.choice(list(entries))
    entries[name] = mutate_bytes(entries[name], rng)


def _other_header(entries: dict[str, bytes], rng: random.Random) -> None:
    """An array that says of itself that it has another shape or type; nothing where there are no arrays."""
    arrays = [name for name, content in entries.items() if content.startswith(b"\x93NUMPY")]
    if not arrays:
        return _other_bytes(entries, rng)
    name = rng.choice(arrays)
    shape = rng.choice(((10**12,), (), (0,), (10**6, 10**6), (-1,), (3, 0, 3), (2**63,), (1,) * 40))
    kind = rng.choice(("|u1", "<i8", "<f4", "|O", "<U0", "<U9", "|V0", ">i4", "<c8", "|S3", "<M8[s]"))
    header = repr({"descr": kind, "fortran_order": rng.random() < 0.2, "shape": shape}).encode()
    content = entries[name][10 + struct.unpack_from("<H", entries[name], 8)[0] :]
    entries[name] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + content
    return None


def _renamed(entries: dict[str, bytes], rng: random.Random) -> None:
    name = rng.choice(list(entries))
    entries[rng.choice(("a", "../../a", "/etc/a", name.upper(), f"{name}/b", "x\ny"))] = entries.pop(name)


def _dropped(entries: dict[str, bytes], rng: random.Random) -> None:
    del entries[rng.choice(list(entries))]


def _added(entries: dict[str, bytes], rng: random.Random) -> None:
    names = ("archive/constants.pkl", "archive/.format_version", "archive/byteorder", "archive/code/a.py", "b")
    entries[rng.choice(names)] = rng.choice((b"", b"little", b"cos\nabort\n(tR.", rng.randbytes(100)))


def _huge(entries: dict[str, bytes], rng: random.Random) -> None:
    entries[rng.choice(list(entries))] = bytes(rng.choice((10**6, 10**7)))


def mutate_arrays(data: bytes, rng: random.Random) -> bytes:
    """An .npz file in which one array is another: of another type, shape, number or order."""
    with np.load(io.BytesIO(data)) as archive:
        arrays = dict(archive)
    name = rng.choice(list(arrays))
    found = arrays[name]
    arrays[name] = rng.choice(
        (
            lambda: found[:0],
            lambda: found[: len(found) // 2],
            lambda: found[..., None],
            lambda: found.reshape(-1),
            lambda: (
                found.astype(rng.choice((bool, np.uint64, np.int8, np.float16, object, "U8", complex)))
                if found.dtype.kind in "iu"
                else found
            ),
            lambda: np.full(found.shape, rng.choice((0, 255, -1, 2**40, 2**63 - 1)), np.int64),
            lambda: np.asfortranarray(found[::-1]),
            lambda: np.zeros((), found.dtype),
            lambda: np.zeros((len(found), 0, 3), np.uint8),
            lambda: found[::-1].copy(),
        )
    )()
    file = io.BytesIO()
    (np.savez if rng.random() < 0.5 else np.savez_compressed)(file, **arrays)
    return file.getvalue()
