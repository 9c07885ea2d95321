"""The most memory that activations take, against small networks followed by hand, in numbers of 4 bytes."""

import pytest
import torch
from torch import Tensor, nn

from nas.costs import count


def peak(network: nn.Module, shape: tuple[int, int, int] = (3, 8, 8)) -> float:
    return count(network, shape).peak_activation_bytes / 4


IMAGE = 3 * 64
CONV = nn.Conv2d(3, 4, 3, padding=1)


class Shortcut(nn.Module):
    """x + f(x), which holds x while f runs."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class ScaledWeight(nn.Conv2d):
    """Computes its weight before it uses it, as a quantizer does."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, (self.weight * 2).round(), self.bias)


class Largest(nn.Module):
    """The largest channel of each pixel, by its index."""

    def forward(self, x: Tensor) -> Tensor:
        return x.gather(1, x.argmax(dim=1, keepdim=True))


@pytest.mark.parametrize(
    ("network", "numbers"),
    [
        (CONV, IMAGE + 256),
        (nn.Sequential(CONV, nn.ReLU()), IMAGE + 2 * 256),
        (nn.Sequential(CONV, nn.ReLU(inplace=True)), IMAGE + 256),
        # the first output is gone when the third is made
        (nn.Sequential(CONV, nn.ReLU(), nn.Sigmoid(), nn.Tanh()), IMAGE + 2 * 256),
        # statistics are no activations
        (nn.Sequential(CONV, nn.BatchNorm2d(4)), IMAGE + 2 * 256),
        # indices of the maxima are none, and a smaller output is the smaller peak
        (nn.Sequential(CONV, nn.MaxPool2d(2)), IMAGE + 256 + 64),
        (Largest(), IMAGE + 64),
        # views share the memory of what they view
        (nn.Sequential(CONV, nn.Flatten(), nn.Linear(256, 10)), IMAGE + 256 + 10),
        # the input of the block is held until the sum, which is one tensor more
        (nn.Sequential(CONV, Shortcut(nn.Sequential(nn.ReLU(), nn.Sigmoid()))), IMAGE + 3 * 256),
        (nn.Sequential(CONV, Shortcut(nn.ReLU())), IMAGE + 3 * 256),
        # 4 * 3 * 81 weights are more than all activations
        (ScaledWeight(3, 4, 9, padding=4), IMAGE + 256),
    ],
)
def test_small_networks_by_hand(network: nn.Module, numbers: int) -> None:
    assert peak(network) == numbers


def test_the_largest_moment_counts_wherever_it_is() -> None:
    wide_late = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Conv2d(1, 50, 1), nn.Conv2d(50, 2, 1))
    assert peak(wide_late) == IMAGE + 50 * 64 + 2 * 64
    assert peak(wide_late, (3, 16, 16)) == 4 * peak(wide_late)


def test_nothing_is_kept_after_counting() -> None:
    network = nn.Sequential(CONV, nn.ReLU())
    assert peak(network) == peak(network)
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 4, 8, 8)
