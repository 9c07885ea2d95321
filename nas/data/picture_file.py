"""A picture out of a file, by nothing but decoders of pixels."""

import warnings
from typing import BinaryIO

from PIL import Image

from nas.reading import one_line

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP")
"""Not all that Pillow knows: it hands PostScript to another program, whatever the file is called."""


def decode(file: BinaryIO, *, formats: tuple[str, ...] = FORMATS, mode: str | None = None) -> Image.Image:
    """The decoded picture in a file, in the colours of `mode` or in its own.

    Raises:
        ValueError: no picture of these formats, a damaged one, or one of more pixels than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=formats)
            image.load()
            return image if mode is None else image.convert(mode)
    except Exception as error:  # what the decoders raise has no class in common
        raise ValueError(one_line(error) or type(error).__name__) from None
