"""How much memory the activations of a network take."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


class LiveActivations(TorchDispatchMode):
    """Follows the activations of one image while it is entered: `peak_bytes` is the most that are alive at once.

    An activation is the image or a floating-point tensor that is computed from one; tensors that share memory count
    once. It lives as long as Python holds it: the image to the end, what one layer of a sequence gives the next until
    that has run. Not counted are weights and what is computed from them alone, indices, the statistics of norms, and
    what an operation uses inside.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.peak_bytes = 0
        self._bytes = WeakIdKeyDictionary()
        self._note(image)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if any(tensor.untyped_storage() in self._bytes for tensor in read):
            # of several results the first is what the network asked for, the statistics of a norm are not
            for made in tree_leaves(out[0] if isinstance(out, tuple) else out):
                if isinstance(made, Tensor) and made.is_floating_point():
                    self._note(made)
        return out

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._bytes[storage] = storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, sum(self._bytes.values()))
