"""Pictures of all epochs as one moving picture."""

import io
from collections.abc import Sequence
from itertools import groupby

from PIL import Image

LAST_FRAME = 4  # times as long as the others
SAMPLED = 8


def animation(frames: Sequence[bytes], *, seconds_per_frame: float = 0.5) -> bytes:
    """One GIF of PNG frames, endlessly repeated; the last frame stays longer.

    Frames of different sizes lie in the left top corner of one white canvas. Equal neighbours are stored as one frame
    that stays as long as they would.

    Raises:
        ValueError: no frames; a duration that is not 0.02 s to 60 s (browsers slow faster frames down).
    """
    if not frames:
        raise ValueError("an animation needs at least one PNG frame; it got none")
    if not 0.02 <= seconds_per_frame <= 60:
        raise ValueError(f"seconds_per_frame is {seconds_per_frame}; it may be 0.02 to 60")
    runs = [(frame, len(list(equal))) for frame, equal in groupby(frames)]
    frames = [frame for frame, _ in runs]
    sizes = [Image.open(io.BytesIO(frame)).size for frame in frames]
    canvas = (max(width for width, _ in sizes), max(height for _, height in sizes))
    colours = _colours([_on_canvas(frame, canvas) for frame in _sample(frames)])
    images = [_on_canvas(frame, canvas).quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
    milliseconds = [round(1000 * seconds_per_frame * count) for _, count in runs]
    milliseconds[-1] += round(1000 * seconds_per_frame * (LAST_FRAME - 1))
    buffer = io.BytesIO()
    images[0].save(
        buffer, format="GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0, disposal=1
    )
    return buffer.getvalue()


def _sample(frames: Sequence[bytes]) -> list[bytes]:
    """Up to eight frames at equal distances, the first and the last among them."""
    count = min(len(frames), SAMPLED)
    return [frames[round(i * (len(frames) - 1) / max(count - 1, 1))] for i in range(count)]


def _on_canvas(frame: bytes, canvas: tuple[int, int]) -> Image.Image:
    image = Image.open(io.BytesIO(frame)).convert("RGBA")
    page = Image.new("RGBA", canvas, "white")
    page.alpha_composite(image)
    return page.convert("RGB")


def _colours(images: Sequence[Image.Image]) -> Image.Image:
    """A palette for all frames, so that nothing flickers between them."""
    width, height = images[0].size
    strip = Image.new("RGB", (width, height * len(images)), "white")
    for number, image in enumerate(images):
        strip.paste(image, (0, number * height))
    chosen = strip.quantize()
    numbers = chosen.getpalette() or []
    triples = [numbers[i : i + 3] for i in range(0, len(numbers), 3)]
    almost_white = 248  # quantize() means over neighbouring colours, and would turn the page grey
    chosen.putpalette([c for triple in triples for c in ([255] * 3 if min(triple) >= almost_white else triple)])
    return chosen
