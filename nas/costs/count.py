"""Exact costs of a discrete network."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from nas.costs.activations import LiveActivations
from nas.costs.operations import Operations, Quantized


@dataclass(frozen=True)
class Cost:
    """What a network costs at one image.

    `params` counts numbers, `macs` the multiply-accumulates of convolutions and linear layers, `bops` their bit
    operations (`bops_of_filter`). `memory_bytes` holds the parameters: weights of quantized layers at their bits,
    packed, all others in 4 bytes; rounded up to whole bytes. `peak_activation_bytes` is the most that activations take
    at once in float32 (`LiveActivations`). Auxiliary heads, which only training uses, are in none of them;
    `auxiliary_params` counts them.
    """

    params: int
    macs: int
    bops: int
    memory_bytes: int
    peak_activation_bytes: int
    auxiliary_params: int = 0


def count(network: nn.Module, input_shape: tuple[int, int, int]) -> Cost:
    """Counts a network in evaluation mode at one image of shape (C, H, W), without computing anything.

    A network that asks for numbers, as by `item()`, can't run so; it is counted as it computes on an image of zeros,
    with weights of zeros where it has none.

    The parameters of modules whose name holds `auxiliary` count as auxiliary, as in the DARTS authors' code.

    Raises:
        ValueError: an image that the network cannot take, with the reason that torch gives.
    """
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    auxiliary = sum(size for name, size in sizes.items() if "auxiliary" in name)
    try:
        operations, activations = _run(copy.deepcopy(network).to("meta"), input_shape)
    except Exception:  # whatever a network says that asks for numbers where there are none
        try:
            operations, activations = _run(_computing(network), input_shape)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"the network cannot take an image of shape {list(input_shape)}: {reason}") from None
    return Cost(
        params=sum(sizes.values()) - auxiliary,
        macs=operations.macs,
        bops=operations.bops,
        memory_bytes=_memory_bytes(network),
        peak_activation_bytes=activations.peak_bytes,
        auxiliary_params=auxiliary,
    )


def _run(network: nn.Module, input_shape: tuple[int, int, int]) -> tuple[Operations, LiveActivations]:
    """What one image takes in a network, where its weights are; hooks stay on it."""
    device = next((tensor.device for tensor in (*network.parameters(), *network.buffers())), torch.device("cpu"))
    image = torch.zeros(1, *input_shape, device=device)
    operations, activations = Operations(network), LiveActivations(image)
    with torch.device(device), operations, activations, torch.no_grad():
        network.eval()(image)
    return operations, activations


def _computing(network: nn.Module) -> nn.Module:
    """A copy on the CPU; where the network has no numbers they are 0."""
    copied = copy.deepcopy(network)
    if not any(tensor.is_meta for tensor in (*copied.parameters(), *copied.buffers())):
        return copied.cpu()
    copied = copied.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*copied.parameters(), *copied.buffers()):
            tensor.zero_()
    return copied


def _memory_bytes(network: nn.Module) -> int:
    bits_of = {id(layer.weight): layer.weight_bits for layer in network.modules() if isinstance(layer, Quantized)}
    stored = (parameter for name, parameter in network.named_parameters() if "auxiliary" not in name)
    bits = sum(parameter.numel() * bits_of.get(id(parameter), 32) for parameter in stored)
    return -(-bits // 8)
