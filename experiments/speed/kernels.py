"""How many operations a program hands to its device, and how many bytes they touch."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

ALLOCATIONS = frozenset(
    ("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "_unsafe_view")
)
"""What gives memory a name and a shape but does not touch it; all views are told by their schema."""


class Kernels(TorchDispatchMode):
    """Counts the ATen operations of all that runs within it, backward passes too, and the bytes that they move.

        with Kernels() as kernels:
            loss(...).backward()
        kernels.count, kernels.bytes

    An operation counts as one kernel, however it is carried out; views, allocations and those that touch no tensor
    count as none. It reads each of its tensor arguments once and writes each of its results once, and its arguments
    that it changes; one that is changed in place is thus read and written. An argument of which only the shape matters
    cannot be told from others, and counts. A compiled program cannot be looked into.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.traffic: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """The kernels of all operations."""
        return self.counts.total()

    @property
    def bytes(self) -> int:
        """The bytes that all of them read and write."""
        return self.traffic.total()

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.namespace == "aten" and not func.is_view and _name(func) not in ALLOCATIONS:
            read, written = _roles(func, args, kwargs or {}, result)
            if read or written:
                self.counts[_name(func)] += 1
                self.traffic[_name(func)] += sum(map(touched_bytes, read + written))
        return result


def touched_bytes(x: Tensor) -> int:
    """The bytes of a tensor's elements; those that lie on each other, in a dimension of stride 0, count once."""
    if x.numel() == 0:
        return 0
    return x.itemsize * math.prod(size for size, stride in zip(x.shape, x.stride(), strict=True) if stride)


def _name(func: OpOverload) -> str:
    """`add_` of `aten::add_.Tensor`."""
    return func._schema.name.removeprefix("aten::")


def _roles(
    func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors that an operation reads and those that it writes, each once.

    `out=` arguments are not read, nor are those that only say what a new tensor is like.
    """
    given = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)} | kwargs
    arguments = [(argument, given[argument.name]) for argument in func._schema.arguments if argument.name in given]
    like = _name(func).startswith("new_") or _name(func).endswith("_like")
    read = [value for argument, value in arguments if not (like or argument.is_out)]
    changed = [value for argument, value in arguments if argument.alias_info and argument.alias_info.is_write]
    return _tensors(read), _tensors([result, changed])


def _tensors(nested: Iterable[Any]) -> list[Tensor]:
    return list({id(leaf): leaf for leaf in tree_iter(nested) if isinstance(leaf, Tensor)}.values())
