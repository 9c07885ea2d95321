"""A CUDA graph on the CPU: the operations of a step, run again on the very tensors that they saw."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2")
"""Operations whose result the host needs before it can go on."""


class NoWaiting(TorchDispatchMode):
    """Refuses what a recording refuses: operations that wait for the device.

    It does not see `tolist`, `numpy` and `cpu`, which are none on a CPU.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.removeprefix("aten::")
        by_mask = name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1])
        if name in WAITS or by_mask:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        return self.run(func, args, dict(kwargs or {}))

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return func(*args, **kwargs)


class Tape(NoWaiting):
    """Keeps every operation with its arguments. What a Python number said then, it says for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        results = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, results))
        return results

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, results in self.operations:
                again = func(*args, **kwargs)
                read = {place(tensor) for tensor in tensors((args, kwargs))}
                for kept, fresh in zip(tensors(results), tensors(again), strict=True):
                    if place(kept) not in read:  # neither a view nor changed in place
                        kept.detach().copy_(fresh)


def tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors in nested lists and dicts."""
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def place(tensor: Tensor) -> int:
    """The memory that a tensor looks at."""
    return tensor.untyped_storage().data_ptr()


class TapedGraphs:
    """As `CudaGraphs`. Recording runs the step, which a CUDA graph does not, so that the first replay only passes on
    what it gave."""

    def __init__(self) -> None:
        self.real = self.recorded = self.replayed = 0

    def aside(self, work: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        self.real += 1
        return work()

    def record(self, work: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
        self.recorded += 1
        tape, results = Tape(), None

        def replay() -> tuple[Tensor, ...]:
            nonlocal results
            self.replayed += 1
            if results is None:
                with tape:
                    results = work()
            else:
                tape.replay()
            return tuple(result.clone() for result in results)

        return replay
