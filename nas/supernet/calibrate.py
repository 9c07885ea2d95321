"""Step sizes that fit what a network computes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from nas.supernet.quantized_layers import QuantizedLayer
from nas.supernet.quantizer import quantizers_in
from nas.supernet.tally import Tally


@torch.no_grad()
def calibrate(network: nn.Module, run: Callable[[], object]) -> None:
    """Starts every quantizer of a network's quantized layers: from the weight, and from the inputs that `run` brings.

    `run` calls the network on images, a supernet at a mixture. A quantizer of an input starts when that first arrives,
    so that layers behind it see rounded numbers, and fits all that came when the run is over; one whose layer is not
    called stays as it was. Without quantizers of inputs nothing is run. Weights, other buffers and the random state
    stay as they were.
    """
    layers = [module for module in network.modules() if isinstance(module, QuantizedLayer)]
    for layer in layers:
        layer.start_weight()
    seen = {layer.on_input: Tally() for layer in layers if quantizers_in(layer.on_input)}
    if not seen:
        return

    def see(place: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen[place].add(arguments[0])
        _start(place, seen[place])

    with _restored(network), ExitStack() as hooks:
        for place in seen:
            hooks.callback(place.register_forward_pre_hook(see).remove)
        run()
    for place, tally in seen.items():
        if tally.count:
            _start(place, tally)  # once more: in training some move on by themselves


def _start(place: nn.Module, tally: Tally) -> None:
    for quantizer in quantizers_in(place):
        quantizer.start(tally)


@contextmanager
def _restored(network: nn.Module) -> Iterator[None]:
    """A block after which the random state and all buffers but those of quantizers are as they were."""
    own = {id(buffer) for part in quantizers_in(network) for buffer in part.buffers()}
    before = [(buffer, buffer.clone()) for buffer in network.buffers() if id(buffer) not in own]
    devices = {parameter.device for parameter in network.parameters() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(list(devices)):
        try:
            yield
        finally:
            for buffer, value in before:
                buffer.copy_(value)
