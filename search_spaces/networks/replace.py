"""Modules put in the place of others."""

from torch import nn


def replace(network: nn.Module, path: str, module: nn.Module) -> None:
    """Puts a module at a path, and wherever else the network has the one that is there."""
    before = network.get_submodule(path)
    for other, found in [*network.named_modules(remove_duplicate=False)]:
        if found is before and found is not module:
            network.set_submodule(other, module)
