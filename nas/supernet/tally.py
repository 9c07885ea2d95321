"""What is counted of numbers that will be quantized."""

import torch
from torch import Tensor


class Tally:
    """Mean, spread and lowest of all numbers added to it, 0-dim float64 tensors on their device."""

    def __init__(self, *tensors: Tensor) -> None:
        self.count = 0
        self._sums = torch.zeros(3, dtype=torch.float64)
        self.lowest = torch.tensor(torch.inf, dtype=torch.float64)
        for tensor in tensors:
            self.add(tensor)

    def add(self, x: Tensor) -> None:
        """Counts the numbers of one more tensor, which is not empty."""
        x = x.detach().double()
        self.count += x.numel()
        self._sums = self._sums.to(x.device) + torch.stack([x.sum(), x.abs().sum(), x.square().sum()])
        self.lowest = torch.minimum(self.lowest.to(x.device), x.min())

    @property
    def mean(self) -> Tensor:
        """<x>."""
        return self._sums[0] / self.count

    @property
    def magnitude(self) -> Tensor:
        """<|x|>."""
        return self._sums[1] / self.count

    @property
    def deviation(self) -> Tensor:
        """sqrt(<x^2> - <x>^2), of the numbers that were seen and not of those that they are a sample of."""
        return (self._sums[2] / self.count - self.mean.square()).clamp_min(0).sqrt()
