"""Channels in blocks, each with a matrix of its own: products of narrow blocks with a few neighbours at a time."""

import torch
from torch import Tensor

WIDTH = 16
"""Channels up to which neighbouring blocks make one product; on two CPUs those of 4 channels take a third of the time
then, those of 8 nine tenths."""


class Blocks:
    """`number` blocks of `channels` channels each, as they lie next to each other in rows: (R, number * channels)."""

    def __init__(self, number: int, channels: int) -> None:
        self.channels = channels
        most = max(1, WIDTH // channels)
        self.joined = max(count for count in range(1, most + 1) if number % count == 0)

    def of(self, pixels: Tensor) -> Tensor:
        """The rows of each group of joined blocks, (groups, R, joined * channels): a view of contiguous rows."""
        return pixels.view(len(pixels), -1, self.joined * self.channels).transpose(0, 1)

    def moments(self, pixels: Tensor) -> Tensor:
        """x' x of each block, (number, channels, channels)."""
        groups = self.of(pixels)
        products = torch.bmm(groups.transpose(1, 2), groups)
        if self.joined == 1:
            return products
        parts = products.view(-1, self.joined, self.channels, self.joined, self.channels)
        return torch.stack([parts[:, block, :, block] for block in range(self.joined)], 1).flatten(0, 1)

    def diagonal(self, matrices: Tensor) -> Tensor:
        """The matrices of each group, zeros between them: (number, channels, channels) to those that `of` takes."""
        if self.joined == 1:
            return matrices
        own = torch.eye(self.joined, dtype=matrices.dtype, device=matrices.device)[:, None, :, None]
        width = self.joined * self.channels
        return (matrices.view(-1, self.joined, self.channels, 1, self.channels) * own).view(-1, width, width)
