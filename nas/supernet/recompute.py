"""Activations computed again instead of kept."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import _get_current_function_mode_stack
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """`function(*arguments)`, where `function` runs `module`; its backward pass runs it again for what it needs.

    Between both passes only arguments and result are kept (Chen et al., 2016). The second run is the first one over:
    with the parameters and buffers that the module had then, also those that `functional_call` had lent to it, with the
    same random numbers of the global generators, the same autocast and the same modes (`TorchFunctionMode`). Buffers
    that a forward pass moves are moved once. Hooks of the module are called in both runs. Without gradients nothing is
    kept anyway, and the function just runs.

    Raises:
        RuntimeError: in the backward pass, if a parameter was changed in place since, as autograd does.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    caller = _Caller(module, function)
    parameters = dict(caller.named_parameters(remove_duplicate=False))
    buffers = {name: buffer.clone() for name, buffer in caller.named_buffers(remove_duplicate=False)}
    versions = [parameter._version for parameter in parameters.values()]
    modes = _get_current_function_mode_stack()
    first = iter([True])

    def run(*arguments: Any) -> Tensor:
        if next(first, False):
            return function(*arguments)
        if versions != [parameter._version for parameter in parameters.values()]:
            raise RuntimeError("a parameter was changed in place between its forward and its backward pass")
        copies = {name: buffer.clone() for name, buffer in buffers.items()}
        with ExitStack() as again:
            for mode in modes:
                again.enter_context(mode)
            result: Tensor = functional_call(caller, {**parameters, **copies}, arguments, tie_weights=False)
        return result

    return checkpoint(run, *arguments, use_reentrant=False)


class _Caller(nn.Module):
    """A function of a module as the module's own forward pass, which `functional_call` needs."""

    def __init__(self, module: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.module = module
        self.function = function

    def forward(self, *arguments: Any) -> Tensor:
        return self.function(*arguments)
