"""Pictures are decoded by nothing that does more than decode."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.decoding import load
from nas.data.picture_file import FORMATS, decode


@pytest.mark.parametrize("form", FORMATS)
def test_the_usual_formats(form: str) -> None:
    pixels = np.full((6, 8, 3), 128, np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=form)
    file.seek(0)
    assert np.abs(np.asarray(decode(file, mode="RGB")).astype(int) - 128).max() <= 2


def test_postscript_is_not_handed_to_another_program(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path, format="EPS")
    with Image.open(path) as image:
        assert image.format == "EPS"  # as Pillow would take it
    with pytest.raises(ValueError, match=r"photo.jpg' does not decode as an image \(cannot identify image file"):
        load(str(path))


def test_a_small_file_of_many_pixels_is_refused(tmp_path: Path) -> None:
    pixels = Image.MAX_IMAGE_PIXELS
    assert pixels is not None
    header = f"P5 {pixels // 1_000 + 1} 1000 255 ".encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert Image.open(io.BytesIO(header)).size[1] == 1_000
        with pytest.raises(ValueError, match=r"exceeds limit of 89478485 pixels"):
            decode(io.BytesIO(header))


def test_a_pipe_called_like_an_image_does_not_keep_the_program_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "photo.png")
    with pytest.raises(ValueError, match=r"photo.png' is a pipe, not a file"):
        load(str(tmp_path / "photo.png"))
