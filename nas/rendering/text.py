"""Text from user data, made safe for every renderer."""

import textwrap


def printable(text: str, *, width: int | None = None) -> str:
    """The text without characters that break DOT, XML or a font: blanks become spaces, controls and lone surrogates �.

    Newlines stay. With `width`, longer lines are broken into lines of at most that many characters.
    """
    lines = ["".join(_safe(character) for character in line) for line in text.splitlines()]
    if width is not None:
        lines = [part for line in lines for part in textwrap.wrap(line, width) or [""]]
    return "\n".join(lines)


def _safe(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"
