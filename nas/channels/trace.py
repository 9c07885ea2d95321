"""What a network computes, found by one run."""

import copy
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from nas.channels.groups import grouped
from nas.channels.labels import Kind, Labels
from nas.channels.layer import Channels
from nas.channels.rehearsal import first_line, rehearsed
from nas.channels.run import Run, named_tensors


class ForwardError(ValueError):
    """A network that fails at an image: in which layer, and what the error says first."""


def trace(network: nn.Module, image_shape: tuple[int, int, int]) -> Channels:
    """The layers of a network in evaluation mode and the channels between them, at one image of shape (C, H, W), whose
    type is that of its parameters.

    A copy of the network runs, on the meta device, where nothing is computed. A network that asks for numbers, as by
    `item()`, can't run there; its copy runs on the CPU. The network itself, its mode, its buffers and the random state
    stay as they are.

    Channels are followed through every operation of PyTorch that runs, whatever the Python code is. A group is fixed,
    with the reason, where its channels can't be removed: the image, what the network returns, what an operation reads
    that mixes channels or is not known. A second run, narrowed, fixes groups whose sizes are written down in the code.
    Neither run sees a size that the code turns into a number, as in `x / x.shape[1]`, and a weight that is divided by a
    sum over itself is divided by a smaller one when it is narrowed. A depthwise convolution of one channel counts as
    dense, since nothing tells it from one.

    Raises:
        ForwardError: an image that the network can't take.
        ValueError: a scripted network; a lazy one that has not seen an image.
    """
    _check(network)
    devices = ["meta"] if any(tensor.is_meta for _, tensor in named_tensors(network)) else ["meta", "cpu"]
    with _undisturbed():
        for device in devices:
            try:
                channels = _followed(network, image_shape, device)
            except ValueError:
                if device == devices[-1]:
                    raise
            else:
                break
        depthwise = {layer.path for layer in channels.layers if layer.depthwise}
        return rehearsed(channels, lambda change: _followed(network, image_shape, device, change, depthwise))


def _check(network: nn.Module) -> None:
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise ValueError("a scripted network cannot be narrowed: give the module that it was made from")
    for name, tensor in named_tensors(network):
        if nn.parameter.is_lazy(tensor):
            raise ValueError(f"{name!r} has no shape yet: run the network once on an image before")


def _followed(
    network: nn.Module,
    image_shape: tuple[int, int, int],
    device: str,
    change: Callable[[nn.Module], None] | None = None,
    depthwise: Collection[str] = (),
) -> Channels:
    """The channels of one run of a copy on a device, after a change of the copy."""
    copied = _copied(network, device).eval()
    if change:
        change(copied)
    types = (tensor.dtype for _, tensor in named_tensors(copied) if tensor.is_floating_point())
    image = torch.zeros(1, *image_shape, dtype=next(types, None), device=device)
    run = Run(copied, depthwise)
    elements = run.unions.fresh(image_shape[0])
    run.unions.fix(elements, "it is the image")
    run.note(image, Labels((None, elements, None, None), Kind.ACTIVATION))
    run.flow.note(image, 0)
    try:
        # In a block of a device transformers don't run fused either, which would hide their layers.
        with torch.device(device), run:
            output = copied(image)
            returned = list(_tensors_in(output, set()))
    except Exception as error:
        if run.broken is error:
            raise
        raise ForwardError(
            f"the network cannot take an image of shape {list(image_shape)}: {_place(copied, error)} fails: "
            f"{_reason(error)}"
        ) from error
    for tensor in returned:
        for line in run.labels(tensor).lines:
            if line is not None:
                run.unions.fix(line, "the network returns it")
    return grouped(run, elements, returned, tuple(output.shape) if isinstance(output, Tensor) else _a(output))


def _place(network: nn.Module, error: Exception) -> str:
    """The innermost module of a network that was running when an error was raised."""
    paths = {id(module): path for path, module in network.named_modules()}
    running = (id(frame.f_locals.get("self")) for frame, _ in traceback.walk_tb(error.__traceback__))
    *_, last = ("", *(paths[module] for module in running if module in paths))
    return f"layer {last!r}, {_a(network.get_submodule(last))}," if last else "its own code"


def _reason(error: Exception) -> str:
    """What an error says first, and its type where that is needed to understand it."""
    return first_line(error) if type(error) is RuntimeError else f"{type(error).__name__}: {first_line(error)}"


def _a(value: Any) -> str:
    """The type of a value with its article; None is what it is."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _copied(network: nn.Module, device: str) -> nn.Module:
    """A copy on a device. Tied parameters stay tied; only the tensors that modules hold are copied to it, once each."""
    memo: dict[int, Any] = {}
    for module in network.modules():
        for value in (*module.parameters(recurse=False), *module.buffers(recurse=False), *vars(module).values()):
            if isinstance(value, nn.Parameter):
                copied = value.detach().to(device, copy=True)
                memo.setdefault(id(value), nn.Parameter(copied, requires_grad=value.requires_grad))
            elif isinstance(value, Tensor):
                memo.setdefault(id(value), value.detach().to(device, copy=True))
    return copy.deepcopy(network, memo)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A block without gradients, on the CPU, which leaves the random state as it was."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
        yield


def _tensors_in(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """All tensors in nested containers, and in the attributes of objects."""
    for leaf in tree_leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf
        elif id(leaf) not in seen and isinstance(attributes := getattr(leaf, "__dict__", None), dict):
            seen.add(id(leaf))
            yield from _tensors_in(dict(attributes), seen)
