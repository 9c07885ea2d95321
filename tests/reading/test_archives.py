"""Zip files, before anything is taken out of them."""

import io
import struct
import warnings
import zipfile

import pytest

from nas.reading import check_archive

STORED = {zipfile.ZIP_STORED}


def packed(method: int = zipfile.ZIP_STORED, **entries: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def refusal(file: io.BytesIO, largest: int = 1_000) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        check_archive(file, largest=largest, methods=STORED)
    return str(error.value)


def test_entries_up_to_the_limit() -> None:
    file = packed(a=b"12345", b=b"678")
    check_archive(file, largest=8, methods=STORED)
    assert file.tell() == 0
    assert refusal(file, 7) == "unpacked it has 8 bytes; a file of its size and kind may have 7"


def test_a_bomb_is_refused_by_what_it_would_become() -> None:
    file = packed(zipfile.ZIP_DEFLATED, a=bytes(10**6))
    assert len(file.getvalue()) < 2_000
    assert "'a' has a compression" in refusal(file, 10**7)
    with pytest.raises(ValueError, match="unpacked it has 1,000,000 bytes"):
        check_archive(file, largest=10**5, methods={zipfile.ZIP_DEFLATED})


def test_entries_that_share_their_bytes_count_each() -> None:
    """The directory names one record a thousand times: each is short, all together are not."""
    data = packed(a=bytes(500)).getvalue()
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entries = b"".join(data[start:end].replace(b"a", bytes([65 + number])) for number in range(26))
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 26, 26, len(entries), start, 0)
    assert refusal(io.BytesIO(data[:start] + entries + tail), 12_999).startswith("unpacked it has 13,000 bytes")


def test_a_name_twice() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    assert refusal(file) == "it has the entry 'a' twice"


def test_an_encrypted_entry() -> None:
    data = bytearray(packed(a=b"1").getvalue())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert refusal(io.BytesIO(data)) == "its entry 'a' is encrypted"


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"hello" * 100])
def test_what_is_no_zip_file(data: bytes) -> None:
    assert refusal(io.BytesIO(data)) == "File is not a zip file"
