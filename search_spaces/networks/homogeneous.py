"""Genotypes that choose the same everywhere."""

import itertools
from collections.abc import Mapping, Sequence

from nas.architecture import Candidate, Choice

Level = tuple[str, Mapping[str, Candidate]]
"""A name, and the candidate that is chosen for each kind of choice."""


def homogeneous(choices: Sequence[Choice]) -> dict[str, dict[str, Candidate]]:
    """The decisions of every network of one operator, one width and one bit width, by what they choose.

    The bits of weights and inputs are equal where both are chosen. A choice takes part with all the candidates that
    every choice of its kind has.
    """
    kinds: dict[str, list[Candidate]] = {}
    for choice in choices:
        shared = kinds.setdefault(choice.kind, list(choice.candidates))
        kinds[choice.kind] = [candidate for candidate in shared if candidate in choice.candidates]
    levels = [*_operators(kinds), *_widths(kinds), *_bits(kinds)]
    combinations = itertools.product(*levels)
    return {", ".join(name for name, _ in combined): _decisions(choices, combined) for combined in combinations}


def _operators(kinds: Mapping[str, Sequence[Candidate]]) -> list[list[Level]]:
    return [[(str(name), {"op": name}) for name in kinds["op"]]] if "op" in kinds else []


def _widths(kinds: Mapping[str, Sequence[Candidate]]) -> list[list[Level]]:
    return [[(f"width {width}", {"width": width}) for width in kinds["width"]]] if "width" in kinds else []


def _bits(kinds: Mapping[str, Sequence[Candidate]]) -> list[list[Level]]:
    found = [kind for kind in ("weight_bits", "input_bits") if kind in kinds]
    if not found:
        return []
    shared = [bits for bits in kinds[found[0]] if all(bits in kinds[kind] for kind in found)]
    return [[(f"{bits} bits", dict.fromkeys(found, bits)) for bits in shared]]


def _decisions(choices: Sequence[Choice], levels: Sequence[Level]) -> dict[str, Candidate]:
    chosen = {kind: candidate for _, level in levels for kind, candidate in level.items()}
    return {choice.name: chosen[choice.kind] for choice in choices}
