"""What TensorBoard has to be told of an encoded picture."""

import struct
from dataclasses import dataclass

# A PNG's colour type -> channels: grey, RGB, palette (shown as RGB), grey + alpha, RGBA.
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


@dataclass(frozen=True)
class Size:
    """Width and height in pixels, and TensorBoard's `colorspace`: the number of channels."""

    width: int
    height: int
    colorspace: int


def png_size(data: bytes) -> Size:
    """Read from the header of a PNG; a ValueError for bytes that are none."""
    if len(data) < 26 or data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or data[25] not in PNG_CHANNELS:
        raise ValueError(f"these {len(data)} bytes are no PNG: they start with {data[:8]!r}; give the encoded picture")
    width, height = struct.unpack(">II", data[16:24])
    return Size(width, height, PNG_CHANNELS[data[25]])


def gif_size(data: bytes) -> Size:
    """Read from the header of a GIF; a ValueError for bytes that are none."""
    if len(data) < 10 or data[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError(
            f"these {len(data)} bytes are no GIF: they start with {data[:8]!r}; give the encoded animation"
        )
    width, height = struct.unpack("<HH", data[6:10])
    return Size(width, height, 3)
