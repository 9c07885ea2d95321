"""Mean and standard deviation of the channels, by which images are normalised."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Statistics:
    """The mean and standard deviation of each channel, in units where white is 1.

    Raises:
        ValueError: only one of both, unequal numbers of channels, or a deviation that is not positive.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(
                f"data.mean {self.mean} and data.std {self.std} belong together: give both a number a channel"
            )
        if not all(map(math.isfinite, self.mean)) or not all(0 < value < math.inf for value in self.std):
            raise ValueError(f"data.std {self.std} must be positive and data.mean {self.mean} finite in every channel")

    def check_channels(self, channels: int) -> None:
        """A ValueError unless there is one number for each of the images' channels."""
        if len(self.mean) != channels:
            raise ValueError(
                f"data.mean has {len(self.mean)} numbers but the images have {channels} channels; "
                "give one a channel, or null to compute them from the training images"
            )

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """(mean, std) on a device, each (C, 1, 1) float32."""
        mean, std = torch.tensor([self.mean, self.std], device=device)[:, :, None, None]
        return mean, std


def given(mean: Sequence[float] | None, std: Sequence[float] | None) -> Statistics | None:
    """The statistics that a configuration states; None where it leaves both to be measured.

    Raises:
        ValueError: one without the other, and as in `Statistics`.
    """
    if (mean is None) != (std is None):
        raise ValueError(f"data.mean {mean} and data.std {std} belong together: give both, or null for both")
    return None if mean is None or std is None else Statistics(mean, std)


def measured(images: Tensor) -> Statistics:
    """The statistics of images (N, C, H, W), uint8 in 0..255 or floating point; a constant channel has std 1."""
    scale = 1.0 if images.is_floating_point() else 255.0
    # Channel by channel: a float copy of all of them would be four times the size of the data set.
    pairs = [torch.std_mean(images[:, channel].float(), correction=0) for channel in range(images.shape[1])]
    return Statistics(
        mean=[mean.item() / scale for _, mean in pairs],
        std=[std.item() / scale or 1.0 for std, _ in pairs],
    )
