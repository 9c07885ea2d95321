"""What a CPU computes in another way than other devices, because it is faster there."""

import torch

SPLIT_ON = {"cpu"}
"""The devices on which PyTorch's own operations are split into several that take less time; elsewhere each is a launch
more."""


def splits(device: torch.device) -> bool:
    """Whether operations are split on this device."""
    return device.type in SPLIT_ON
