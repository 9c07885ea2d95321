"""Exact costs of a discrete network."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """What a network costs at one image: `params` counts numbers, `macs` the multiply-accumulates of convolutions and
    linear layers. Auxiliary heads, which only training uses, are in neither; `auxiliary_params` counts them."""

    params: int
    macs: int
    auxiliary_params: int


def count(network: nn.Module, input_shape: tuple[int, int, int]) -> Cost:
    """Counts a network in evaluation mode at one image of shape (C, H, W), without computing anything.

    The parameters of modules whose name holds `auxiliary` count as auxiliary, as in the DARTS authors' code.

    Raises:
        ValueError: an image that the network cannot take, with the reason that torch gives.
    """
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    auxiliary = sum(size for name, size in sizes.items() if "auxiliary" in name)
    meta = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        try:
            meta(torch.empty(1, *input_shape, device="meta"))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"the network cannot take an image of shape {list(input_shape)}: {reason}") from None
    return Cost(sum(sizes.values()) - auxiliary, counter.get_total_flops() // 2, auxiliary)
