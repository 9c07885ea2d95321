"""How the layers of a network are connected."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """What tensors go through: the image, a layer, or an operation where several ways meet.

    Attributes:
        inputs: the indices of the steps that it takes, each once; none for the image.
        layer: the index of the layer; None where it is none.
        operation: such as `add`, where ways meet; "" elsewhere.
    """

    inputs: tuple[int, ...] = ()
    layer: int | None = None
    operation: str = ""


class Flow:
    """The steps of a run, the image first, and the one that each tensor came from.

    A tensor shares its step with those that share its memory, so that a part of it may be written in place.
    """

    def __init__(self) -> None:
        self.steps = [Step()]
        # The storage is held beside its step, so that no other one gets its address.
        self._known: dict[int, tuple[torch.UntypedStorage, int]] = {}

    def note(self, tensor: Tensor, step: int) -> None:
        """Remembers which step a tensor came from."""
        if (storage := _storage(tensor)) is not None:
            self._known[storage._cdata] = storage, step

    def of(self, tensors: Iterable[Tensor]) -> tuple[int, ...]:
        """The steps that tensors came from, each once; none for constants and parameters."""
        storages = [storage._cdata for tensor in tensors if (storage := _storage(tensor)) is not None]
        return tuple(dict.fromkeys(self._known[key][1] for key in storages if key in self._known))

    def follow(self, operation: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], layer: int | None) -> None:
        """Notes where the outputs of an operation came from; `layer` is its index if it is one."""
        sources = self.of(inputs)
        if layer is None and not sources:
            return
        if layer is not None or len(sources) > 1:
            self.steps.append(Step(sources, layer, operation if layer is None else ""))
            sources = (len(self.steps) - 1,)
        for output in outputs:
            self.note(output, sources[0])


def _storage(tensor: Tensor) -> torch.UntypedStorage | None:
    try:
        return tensor.untyped_storage()
    except NotImplementedError:  # a sparse tensor
        return None
