"""What a network computes in products of matrices and convolutions: multiply-accumulates and bit operations."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nas.costs.bops import bops_of_sums


@runtime_checkable
class Quantized(Protocol):
    """A layer that says how many bits its weight and its input have; layers that do not are counted as float, 32 bits.

    This is all that costs know of quantization, so that layers of another library or of yours can say it too.
    """

    weight: Tensor
    weight_bits: int
    input_bits: int


class Operations(TorchDispatchMode):
    """Counts while it is entered: `macs`, and `bops` by the bits of the layer of `network` that runs.

    It sees operations and not layers, so a convolution that no module does is counted too, at 32 bits. Its hooks stay
    on the network: give it a copy.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.macs = 0
        self.bops = 0
        self._bits = [(32, 32)]
        for layer in network.modules():
            if isinstance(layer, Quantized):
                layer.register_forward_pre_hook(
                    lambda layer, _: self._bits.append((layer.weight_bits, layer.input_bits))
                )
                layer.register_forward_hook(lambda *_: self._leave())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            macs = flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out) // 2
            self.macs += macs
            self.bops += bops_of_sums(macs, out.numel(), *self._bits[-1])
        return out

    def _leave(self) -> None:
        self._bits.pop()
