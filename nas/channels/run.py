"""One run of a network in which every operation is followed."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from nas.channels.channelwise import (
    batch_normalized,
    everything,
    filled,
    group_normalized,
    layer_normalized,
    mixed_along,
    pointwise,
    reduced,
    spatial,
)
from nas.channels.dense import Pass, convolution, linear
from nas.channels.flow import Flow
from nas.channels.labels import Call, Kind, Labels, Lines, Operand
from nas.channels.moves import concatenated, cut, moved, padded, permuted, reshaped, shuffled, stacked
from nas.channels.unions import Unions

Rule = Callable[[Call], Sequence[Lines]]

_NAMES: dict[Rule, str] = {
    reshaped: "view _unsafe_view _reshape_alias reshape unsqueeze squeeze",
    moved: "expand repeat flip",
    permuted: "permute transpose t",
    cut: "slice split split_with_sizes select unbind",
    shuffled: "channel_shuffle native_channel_shuffle",
    concatenated: "cat",
    stacked: "stack",
    padded: "constant_pad_nd",
    pointwise: "detach alias clone _to_copy lift_fresh lift_fresh_copy copy_ fill_ zero_ zeros_like ones_like "
    "full_like empty_like rand_like randn_like bernoulli_ uniform_ normal_ _prelu_kernel _weight_norm_interface "
    "hardswish hardswish_ log_sigmoid_forward rrelu_with_noise floor_divide bernoulli native_dropout",
    reduced: "mean sum amax amin max min prod var std var_mean std_mean logsumexp norm linalg_vector_norm any all",
    mixed_along: "_softmax _log_softmax _safe_softmax cumsum",
    batch_normalized: "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
    "_batch_norm_with_update _batch_norm_no_update cudnn_batch_norm miopen_batch_norm",
    group_normalized: "native_group_norm",
    layer_normalized: "native_layer_norm",
    filled: "new_empty new_empty_strided new_full new_ones new_zeros",
}
"""The operations of `torch.ops.aten` that each rule is for; `pointwise` is also for those that torch tags so."""
RULES = {f"aten.{name}": rule for rule, names in _NAMES.items() for name in names.split()}
SPATIAL = re.compile(
    r"aten\._?(?:adaptive_)?(?:avg|max)_pool(\d)d(?:_with_indices)?"
    r"|aten\._?upsample_[a-z]+(\d)d(?:_aa)?|aten\.(?:reflection|replication)_pad(\d)d"
)


class Run(TorchDispatchMode):
    """Follows channels through all that runs in its block. Convolutions at the paths `depthwise` are so
    with one channel too.

    Attributes:
        unions: the elements that stand for channels.
        passes: the layers that have run.
        flow: how they are connected.
        dims: (parameter or buffer, axis) -> its line.
        norms: path of a batch or instance norm -> the line of its input.
        broken: an error of a rule, which is no error of the network.
    """

    def __init__(self, network: nn.Module, depthwise: Collection[str] = ()) -> None:
        super().__init__()
        self._depthwise = depthwise
        self.unions = Unions()
        self.passes: list[Pass] = []
        self.flow = Flow()
        self.dims: dict[tuple[str, int], Tensor] = {}
        self.norms: dict[str, Tensor] = {}
        self.broken: Exception | None = None
        # The tensor is held beside its labels, so that no other one gets its id.
        self._known: dict[int, tuple[Tensor, Labels]] = {}
        for name, tensor in named_tensors(network):
            lines = self.labels(tensor).lines
            if id(tensor) not in self._known:
                lines = tuple(self.unions.fresh(size) for size in tensor.shape)
                self.note(tensor, Labels(lines, Kind.WEIGHT, (name,)))
            self.dims.update({(name, axis): line for axis, line in enumerate(lines) if line is not None})
        for path, module in network.named_modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):
                module.register_forward_pre_hook(self._seen_by(path))

    def note(self, tensor: Tensor, labels: Labels) -> None:
        """Remembers what is known of a tensor."""
        self._known[id(tensor)] = tensor, labels

    def labels(self, tensor: Tensor) -> Labels:
        """What is known of a tensor; one that came from nowhere is a constant."""
        return self._known[id(tensor)][1] if id(tensor) in self._known else Labels((None,) * tensor.dim())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        try:
            with torch.device("cpu"):  # also where the network runs in a block of another device
                self._follow(func, args, kwargs, result)
        except Exception as error:
            self.broken = error
            raise
        return result

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        operands = [Operand(leaf, self.labels(leaf)) for leaf in tensors((args, kwargs))]
        outputs = list(tensors(result))
        before = len(self.passes)
        if any(operand.labels.kind is not Kind.CONSTANT for operand in operands):
            call = self._call(func, args, kwargs, operands, outputs)
            sources = tuple(dict.fromkeys(name for operand in operands for name in operand.labels.sources))
            for output, lines in zip(outputs, self._lines(func, call), strict=True):
                self.note(output, Labels(lines, call.kind, sources))
        layer = before if len(self.passes) > before else None
        name = func.overloadpacket.__name__.removesuffix("_")
        self.flow.follow(name, [operand.tensor for operand in operands], outputs, layer)

    def _lines(self, func: Any, call: Call) -> Sequence[Lines]:
        if not call.outputs:
            return everything(call)
        if call.name == "aten.convolution":
            return convolution(call, self.passes, self._depthwise)
        if call.name in ("aten.mm", "aten.addmm"):
            return linear(call, self.passes)
        if axes := SPATIAL.fullmatch(call.name):
            return spatial(int(next(filter(None, axes.groups()))))(call)
        same_shape = call.name == "aten.as_strided_" and call.outputs[0].shape == call.arguments["size"]
        if same_shape or _is_pointwise(func):
            return pointwise(call)
        return RULES.get(call.name, everything)(call)

    def _call(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], operands: list[Operand], outputs: list[Tensor]
    ) -> Call:
        given = func._schema.arguments
        arguments = {argument.name: argument.default_value for argument in given if argument.has_default_value()}
        arguments |= {argument.name: value for argument, value in zip(given, args, strict=False)} | kwargs

        def apply(first: Tensor) -> Any:
            return func(*tree_map(lambda leaf: first if leaf is operands[0].tensor else leaf, args), **kwargs)

        return Call(
            name=str(func.overloadpacket),
            apply=apply,
            arguments=arguments,
            operands=operands,
            named={
                name: Operand(value, self.labels(value))
                for name, value in arguments.items()
                if isinstance(value, Tensor)
            },
            outputs=outputs,
            unions=self.unions,
        )

    def _seen_by(self, path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            lines = self.labels(inputs[0]).lines
            if len(lines) > 1 and lines[1] is not None:
                self.norms[path] = lines[1]

        return hook


def _is_pointwise(func: Any) -> bool:
    """Whether torch tags an operation so, or its form that is not in place."""
    name = func.overloadpacket.__name__
    if torch.Tag.pointwise in func.tags or func.namespace != "aten" or not name.endswith("_"):
        return torch.Tag.pointwise in func.tags
    packet = getattr(torch.ops.aten, name[:-1], None)
    return packet is not None and any(
        torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads()
    )


def named_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers; one that has several names comes once for each."""
    yield from network.named_parameters(remove_duplicate=False)
    yield from network.named_buffers(remove_duplicate=False)


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested containers."""
    return (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))
