"""Genotypes by whatever name a person has for them."""

import os
from pathlib import Path

from nas.architecture import Genotype
from nas.reading import read_text
from search_spaces.cells.authors_form import EXAMPLE, parse
from search_spaces.cells.published import PUBLISHED

LARGEST_FILE = 1_000_000
"""Bytes: a hundred times the genotype of the largest network that tests read."""


def read_genotype(argument: str) -> Genotype:
    """The genotype that `argument` means: a published name, a run directory, a JSON file, a file in authors' form, or
    that form itself.

    Raises:
        ValueError: nothing of that name, or a file that holds no genotype; one line that names it.
    """
    if argument in PUBLISHED:
        return PUBLISHED[argument]
    if argument.lstrip().startswith("Genotype("):
        return parse(argument)
    path = Path(argument)
    if os.path.isdir(path):
        path = path / "genotype.json"
        if not os.path.lexists(path):
            raise ValueError(
                f"{path.parent} holds no genotype.json: its search has not finished an epoch, or is no run"
            )
    if not os.path.lexists(path):
        raise ValueError(
            f"there is no genotype {argument[:200]!r}: give a run directory, a file, or one of {', '.join(PUBLISHED)}"
        )
    text = _read(path)
    try:
        return _parse(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read(path: Path) -> str:
    try:
        return read_text(path, LARGEST_FILE)
    except ValueError as error:
        raise ValueError(f"this is not a genotype: {error}") from None


def _parse(text: str) -> Genotype:
    if text.lstrip().startswith("{"):
        return Genotype.from_json(text)
    if "Genotype" not in text:
        raise ValueError(f"this is not a genotype: it is neither JSON nor the authors' form {EXAMPLE}")
    return parse(text)
