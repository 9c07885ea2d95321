"""Many edges at once: the edges that lead from a few sources to the same targets."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nas.supernet.channels_last import rows
from nas.supernet.cpu import splits
from nas.supernet.depthwise import Copies
from nas.supernet.normalized_sum import normalized_sum

APART = 1 << (19 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 17)
"""Numbers in a source from which on a CPU runs kernels of several sizes apart; measured at 4 to 64 channels.

With vectors of 512 bits the arithmetic of padding costs less, so calls weigh more.
"""


class Fan:
    """The edges from S sources to T targets: what operators on all of them share, computed once.

    `x` holds the sources, one after the other in its channels: (N, S * C, H, W), channels-last. Edges count by target
    first: (0, 0), (0, 1), ..., the second number the source's.
    """

    def __init__(self, x: Tensor, sources: int, targets: int) -> None:
        self.x = x
        self.sources = sources
        self.targets = targets
        self._relu: Tensor | None = None  # not cached_property, whose lock torch.compile cannot enter
        self._relu_copies: Copies | None = None
        self._widened: dict[int, Fan] = {}

    @property
    def relu(self) -> Tensor:
        """ReLU of the sources, (N, S * C, H, W)."""
        if self._relu is None:
            self._relu = torch.relu(self.x)
        return self._relu

    @property
    def relu_copies(self) -> Copies:
        """ReLU of the sources, a copy for each target."""
        if self._relu_copies is None:
            self._relu_copies = Copies(self.relu, self.targets)
        return self._relu_copies

    def widened(self, operators: int) -> "Fan":
        """The fan that several operators make when each counts as more targets: (T, operators) in the place of T."""
        if operators == 1:
            return self
        if operators not in self._widened:
            self._widened[operators] = wide = Fan(self.x, self.sources, self.targets * operators)
            wide._relu = self.relu
        return self._widened[operators]

    def source(self, number: int) -> Tensor:
        """One source, (N, C, H, W)."""
        return self.x.chunk(self.sources, 1)[number]


@dataclass(frozen=True)
class Shared:
    """An output that is the same for all targets, (N, S * C, H', W')."""

    features: Tensor


@dataclass(frozen=True)
class Normalized:
    """Outputs BN(W_e x_e): x of shape (N, T * S * K, H', W') and W of shape (T * S, C, K)."""

    features: Tensor
    weight: Tensor
    eps: float


@dataclass(frozen=True)
class Separate:
    """An output for each edge, (N, T * S * C, H', W')."""

    features: Tensor


Outputs = Shared | Normalized | Separate
"""What an operator makes of a fan."""


@runtime_checkable
class Batched(Protocol):
    """An operator that runs on all edges of a fan at once.

    Operators of one `family` differ in nothing but the size of their kernels. They run as one, the smaller kernels
    padded with zeros, in fewer and larger steps; where `kernels_apart`, as one for each size. `None` is no family.
    """

    family: Hashable

    def batched(self, fan: Fan, parameters: Mapping[str, Tensor]) -> Outputs:
        """The operator on every edge; it must equal `forward` on each.

        `parameters` are those of all edges, by their names in this module, stacked: (T * S, *shape). Everything else,
        such as kernel sizes, is this module's, which stands for all edges.
        """


def kernels_apart(x: Tensor) -> bool:
    """Whether kernels of several sizes run faster each at its own than padded to one, on sources like `x`.

    Padding takes fewer steps and more arithmetic, which pays on a GPU, and on a CPU below `APART`.
    """
    return splits(x.device) and x.numel() >= APART


def batched_form(operator: nn.Module) -> Batched | None:
    """The operator, if it offers a batched form of its own `forward`.

    That is not so where a subclass has another `forward`, or where the operator says by `intact` that its layers are
    not, or no longer, those that the batched form stands for.
    """
    if not isinstance(operator, Batched) or not getattr(operator, "intact", True):
        return None
    offered, defined = (
        next(place for place, kind in enumerate(type(operator).__mro__) if name in vars(kind))
        for name in ("batched", "forward")
    )
    return operator if offered <= defined else None


def edge_by_edge(fan: Fan, operators: Sequence[nn.Module]) -> Separate:
    """The operators of a fan's edges one after the other: for those that have no batched form."""
    outputs = [operator(fan.source(edge % fan.sources)) for edge, operator in enumerate(operators)]
    return Separate(torch.cat(outputs, dim=1))


def weighted_sum(fan: Fan, outputs: Sequence[tuple[Outputs, Tensor]], previous: Tensor | None) -> Tensor:
    """Adds up, for each target, the outputs of its edges times their weights, (T, N * H' * W', C).

    The weights of an output have shape (T, S); those of one for several operators (T, O * S). `previous` are sums of
    the same targets to start from.
    """
    shared = [(o.features, w) for o, w in outputs if isinstance(o, Shared)]
    separate = [(o.features, w) for o, w in outputs if isinstance(o, Separate)]
    normalized: dict[tuple[int, int, float], list[tuple[Normalized, Tensor]]] = {}
    for output, w in outputs:
        if isinstance(output, Normalized):
            normalized.setdefault((w.shape[1], output.weight.shape[-1], output.eps), []).append((output, w))
    sums = previous
    if shared:
        sums = _add_shared(fan, shared, sums)
    for x, w in separate:
        pixels = rows(x).view(-1, *w.shape, x.shape[1] // w.numel())
        weighted = (pixels * w[None, :, :, None]).sum(2).transpose(0, 1)
        sums = weighted if sums is None else sums + weighted
    for (_, _, eps), group in normalized.items():
        first = group[0][0]
        if sums is None:
            count = first.features.numel() // first.features.shape[1]
            sums = first.features.new_zeros(fan.targets, count, first.weight.shape[1])
        features, weights = [o.features for o, _ in group], [o.weight for o, _ in group]
        sums = normalized_sum(sums, features, weights, [w for _, w in group], eps)
    assert sums is not None
    return sums


def _add_shared(fan: Fan, shared: Sequence[tuple[Tensor, Tensor]], sums: Tensor | None) -> Tensor:
    """sums[t] + sum_s w[t, s] x[s] as one matrix product."""
    count = shared[0][0].numel() // shared[0][0].shape[1]
    features = torch.cat([rows(x).view(count, fan.sources, -1).transpose(0, 1) for x, _ in shared])
    weights = torch.stack([w for _, w in shared], 1).flatten(1).to(features.dtype)
    flat = features.flatten(1)
    total = weights @ flat if sums is None else torch.addmm(sums.flatten(1).to(flat.dtype), weights, flat)
    return total.view(fan.targets, count, -1)
