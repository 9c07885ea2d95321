"""A mixture of channel widths."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nas.architecture import Candidate
from nas.supernet.mixed import MixedModule


def width_of(ratio: float, size: int) -> int | None:
    """ratio * size channels, up to rounding of the ratio; None for a fraction of a channel."""
    width = round(ratio * size)
    return width if math.isclose(width, ratio * size, rel_tol=1e-9) else None


def widths_of(ratios: Sequence[float], size: int, where: str) -> dict[float, int]:
    """The width of each ratio of a group of `size` channels: ratio * size, a whole number; `where` names the group.

    Raises:
        ValueError: no ratios, a ratio twice, one outside (0, 1], or one that gives a fraction of a channel.
    """
    widths: dict[float, int] = {}
    if not ratios:
        raise ValueError(f"{where} has no channel ratios: give at least one in (0, 1], such as 0.5")
    for ratio in ratios:
        if not isinstance(ratio, int | float) or not 0 < ratio <= 1:
            raise ValueError(f"a channel ratio of {where} is {ratio!r}: give numbers above 0 and at most 1")
        width = width_of(ratio, size)
        if width is None:
            raise ValueError(
                f"a channel ratio of {where} is {ratio!r}, which is {ratio * size:g} of its {size} channels: "
                "give ratios that make whole numbers"
            )
        if width in widths.values():
            raise ValueError(f"the channel ratios of {where} are {tuple(ratios)}, {ratio!r} twice: give each once")
        widths[ratio] = width
    return widths


class MixedWidth(MixedModule):
    """y = v * m along one axis, m_c = sum_k w_k [rank_c < width_k]: the first channels of a group alone.

    `widths` maps candidates, ratios of the group's size, to widths (`widths_of`). `ranks`, (v.shape[axis],) int64, is
    the position in the group of the channel that each element along `axis` belongs to, -1 for one of another group,
    which is always kept: m_c = 1. Of a weight that reads the group, the input axis, 1, is masked: that is a convolution
    of the mask times the input, at the cost of one product of the weight's size. At a one-hot mixture it is the
    convolution of the channels that are kept.
    """

    kind = "width"
    ranks: Tensor
    _kept: Tensor

    def __init__(self, widths: Mapping[float, int], ranks: Tensor, axis: int = 1) -> None:
        super().__init__()
        assert widths
        assert ranks.dim() == 1
        assert not ranks.is_floating_point()
        self.widths = dict(widths)
        self.axis = axis
        self.register_buffer("ranks", ranks, persistent=False)
        limits = torch.tensor(list(self.widths.values()), dtype=ranks.dtype, device=ranks.device)
        self.register_buffer("_kept", ranks < limits[:, None], persistent=False)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(self.widths)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        mask = (weights[:, None] * self._kept).sum(0)  # a product and a sum, which autocast leaves as they are
        mask = torch.where(self.ranks < 0, 1, mask)
        return _masked(x, mask.to(x.dtype), self.axis)

    def select(self, candidate: Candidate) -> nn.Module:
        return FirstChannels(self._kept[self.candidates.index(candidate)], self.axis)

    def extra_repr(self) -> str:
        return f"widths={tuple(self.widths.values())}, axis={self.axis}"


class FirstChannels(nn.Module):
    """y = v * kept along one axis: a mixture of widths after one was chosen; kept: (v.shape[axis],), true or false."""

    kept: Tensor

    def __init__(self, kept: Tensor, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return _masked(x, self.kept, self.axis)


def _masked(x: Tensor, mask: Tensor, axis: int) -> Tensor:
    """x times a mask of shape (x.shape[axis],)."""
    return x * mask.view(-1, *[1] * (x.dim() - axis - 1))
