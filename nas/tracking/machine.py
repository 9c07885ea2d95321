"""What a run was computed with, in words."""

import importlib.metadata
import platform

import torch

PACKAGES = ("torchvision", "hydra-core", "differentiable-nas")


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide a result; one that is not installed is left out.

    PyTorch's own word for its version says the build too: 2.13.0+cpu.
    """
    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def device_words(device: torch.device | str, count: int = 1) -> str:
    """`cpu (2 threads)`, the name of a GPU, or the bare type of any other device; `2 x` before it for two of them."""
    return _words(torch.device(device)) if count == 1 else f"{count} x {_words(torch.device(device))}"


def _words(device: torch.device) -> str:
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} {'thread' if threads == 1 else 'threads'})"
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
