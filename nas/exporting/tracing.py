"""From a network to the program that formats write down."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.export import Dim, ExportedProgram


def traced(network: nn.Module, image_shape: tuple[int, int, int]) -> ExportedProgram:
    """What a network in evaluation mode computes of a batch of images of any number, as `torch.export` sees it.

    Places in source files, which tell of the machine, are left out.

    Raises:
        ValueError: a network that cannot be traced, with the first line of the reason.
    """
    images = torch.zeros(2, *image_shape)  # torch.export takes a batch of 1 for a constant
    try:
        with torch.no_grad(), torch_warnings_of_itself():
            program = torch.export.export(network, (images,), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:  # its errors have no class in common
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(
            f"the network cannot be traced by torch.export: {reason}; its forward pass must not depend on the values "
            "or the number of its images"
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


@contextmanager
def torch_warnings_of_itself() -> Iterator[None]:
    """Without what torch.export warns of in its own doing: that it deprecates what it uses, and does not copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        warnings.filterwarnings("ignore", message="The given buffer is not writable", category=UserWarning)
        yield
