"""The architecture parameters."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from nas.architecture.choice import Choice, ChoiceTables
from nas.architecture.mixture import Mixture


class ArchParameters(nn.Module):
    """The alphas of all choices: one real parameter of shape (rows, candidates) for each table.

    They start as `scale` times standard normal draws (DARTS: 1e-3). A supernet never holds them, so that weights and
    alphas are disjoint by construction. They stay float32 under autocast: ties would appear in bf16.
    """

    def __init__(
        self, choices: Iterable[Choice], *, scale: float = 1e-3, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.layout = ChoiceTables(choices)
        self.tables = nn.ParameterDict()
        for name in self.layout.rows:  # one by one: ParameterDict sorts what it is given as a dict
            self.tables[name] = scale * torch.randn(self.layout.shape(name), generator=generator)

    def mixture(self, relax: Callable[[Tensor], Tensor]) -> Mixture:
        """The mixture that `relax`, a map of alpha tables to weights of equal shape, makes of the alphas."""
        return Mixture(self.layout, {name: relax(alpha) for name, alpha in self.tables.items()})

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """(choice name, its alphas of shape (candidates,)), detached, in the order of declaration."""
        for name in self.layout.choices:
            table, row = self.layout.position(name)
            yield name, self.tables[table][row].detach()
