"""Search spaces whose choices do not depend on each other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from nas.architecture import Candidate, Choice, ChoiceTables, Genotype, Mixture, selection
from nas.reading import one_line
from nas.space.derivation import best_candidate
from nas.space.search_space import SearchSpace


class IndependentChoices(SearchSpace):
    """A space whose genotypes decide every choice, by one candidate each; the largest weight decides.

    `settings` are what a genotype says of its space besides.
    """

    def __init__(self, name: str, choices: Iterable[Choice], settings: Mapping[str, Any]) -> None:
        self.name = name
        self._layout = ChoiceTables(choices)
        self._settings = settings

    @property
    def choices(self) -> Sequence[Choice]:
        return tuple(self._layout.choices.values())

    def genotype(self, decisions: Mapping[str, Candidate]) -> Genotype:
        """The genotype of one decision per choice."""
        return Genotype(self.name, self._settings, decisions)

    def decisions(self, genotype: Genotype) -> Mapping[str, Candidate]:
        """The decisions of a genotype of this space; a ValueError for another one."""
        if genotype.decisions.keys() != self._layout.choices.keys():
            raise ValueError(
                f"the genotype decides {one_line(', '.join(genotype.decisions))}, but space {self.name!r} has the "
                f"choices {', '.join(self._layout.choices)}; use the space that it was derived from"
            )
        for name, chosen in genotype.decisions.items():
            self._layout.choices[name].index(chosen)
        return genotype.decisions

    def derive(self, mixture: Mixture) -> Genotype:
        return self.genotype({choice.name: best_candidate(choice, mixture[choice.name])[0] for choice in self.choices})

    def selection(self, genotype: Genotype) -> Mixture:
        return selection(self._layout, {name: (chosen,) for name, chosen in self.decisions(genotype).items()})

    def sample(self, generator: torch.Generator) -> Genotype:
        draws = {c.name: int(torch.randint(len(c.candidates), (), generator=generator)) for c in self.choices}
        return self.genotype({choice.name: choice.candidates[draws[choice.name]] for choice in self.choices})
