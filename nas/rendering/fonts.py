"""Fonts: matplotlib's DejaVu, which is there even where the system has none."""

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

import matplotlib
from PIL import ImageFont

SYSTEM = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts", "~/.fonts")


@cache
def font(pixels: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans for pictures that Pillow draws; a character that it lacks is a box."""
    return ImageFont.truetype(_folder() / "DejaVuSans.ttf", pixels, layout_engine=ImageFont.Layout.BASIC)


def use_matplotlib_fonts() -> None:
    """Points Graphviz at them before its first drawing, by fontconfig, unless the user has set `FONTCONFIG_FILE`.

    Raises:
        OSError: the configuration cannot be written.
    """
    if "FONTCONFIG_FILE" not in os.environ:
        os.environ["FONTCONFIG_FILE"] = str(_configuration())


def _configuration() -> Path:
    """The path of a `fonts.conf` in matplotlib's cache folder, named by its hash: environments may share the folder."""
    folder = Path(matplotlib.get_cachedir())
    directories = (_folder(), *SYSTEM)
    lines = [f"<dir>{escape(str(directory))}</dir>" for directory in directories]
    lines.append(f"<cachedir>{escape(str(folder / 'fontconfig'))}</cachedir>")
    text = "\n".join(['<?xml version="1.0"?>', "<fontconfig>", *lines, "</fontconfig>", ""])
    path = folder / f"fonts-{hashlib.sha256(text.encode()).hexdigest()[:12]}.conf"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            file.write(text)
        os.replace(file.name, path)
    return path


def _folder() -> Path:
    return Path(matplotlib.get_data_path(), "fonts", "ttf")
