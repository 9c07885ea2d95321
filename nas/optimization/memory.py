"""How tensors lie in memory."""

from typing import TypeVar

import torch
from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def channels_last(module: AnyModule) -> AnyModule:
    """The module with its convolutions in channels-last order: depthwise ones are 2 to 5 times faster so on a CPU."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
