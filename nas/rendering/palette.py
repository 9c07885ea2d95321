"""Colours of operations: the same operation has the same colour in every picture and run."""

import colorsys
import hashlib
from dataclasses import dataclass

# Families differ in hue, members of a family in lightness: they stay apart for colour-blind readers.
CHOSEN = {
    "none": "#f2f2f2",
    "skip_connect": "#c4c4c4",
    "avg_pool_3x3": "#ffe98a",
    "max_pool_3x3": "#f0a830",
    "sep_conv_3x3": "#a6d8fa",
    "sep_conv_5x5": "#3f97dd",
    "sep_conv_7x7": "#0b4486",
    "dil_conv_3x3": "#4fc38a",
    "dil_conv_5x5": "#006b4b",
    "conv_7x1_1x7": "#cf6fae",
}
BLACK, WHITE = "#000000", "#ffffff"


@dataclass(frozen=True)
class Colour:
    """How an operation looks, as `#rrggbb`: its box, the text on the box, and its lines on a white page."""

    fill: str
    text: str
    line: str


def colour(operation: str) -> Colour:
    """The colour of an operation: chosen for the known names, else from a hash of the name."""
    fill = CHOSEN.get(operation) or _hashed(operation)
    return Colour(fill, text_on(fill), _darkened(fill, 3.0))


def text_on(fill: str) -> str:
    """Black or white, whichever stands out more; the contrast is at least sqrt(21) = 4.58 on any colour."""
    return max((BLACK, WHITE), key=lambda text: contrast(fill, text))


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (Web Content Accessibility Guidelines 2.1)."""
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _hexadecimal(channels: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


def _darkened(colour: str, ratio: float) -> str:
    """The colour, darker in steps of a tenth until its contrast with white reaches the ratio."""
    while contrast(colour, WHITE) < ratio:
        colour = _hexadecimal(tuple(0.9 * channel for channel in _channels(colour)))
    return colour


def _hashed(operation: str) -> str:
    digest = hashlib.sha256(operation.encode("utf-8", "surrogatepass")).digest()
    hue = int.from_bytes(digest[:4], "big") / 2**32
    return _hexadecimal(colorsys.hls_to_rgb(hue, (0.45, 0.6, 0.75)[digest[4] % 3], 0.5))
