"""A mixture of operators."""

from collections.abc import Mapping

from torch import Tensor, nn

from nas.architecture import Candidate
from nas.supernet.mixed import MixedModule


class MixedOp(MixedModule):
    """y = sum_o w_o * o(x), the mixed operation of DARTS (Liu et al., 2019, equation 2).

    `operators` maps names to modules whose outputs have one common shape.

    Raises:
        ValueError: no operators.
    """

    kind = "op"

    def __init__(self, operators: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not operators:
            raise ValueError("a mixed operation needs at least one operator; it was given none")
        self._names = tuple(operators)
        self.operators = nn.ModuleList(operators.values())

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self._names

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        outputs = [weight * operator(x) for weight, operator in zip(weights, self.operators, strict=True)]
        mixed = outputs[0]
        for output in outputs[1:]:
            mixed = mixed + output
        return mixed

    def select(self, candidate: Candidate) -> nn.Module:
        return self.operators[self._names.index(str(candidate))]
