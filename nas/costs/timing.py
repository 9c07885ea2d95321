"""How long a layer takes on a device."""

import platform
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from nas.costs.shapes import LayerShape


@dataclass(frozen=True)
class Conditions:
    """What latencies are measured under besides the layers: those of other conditions do not compare.

    `device` is the name of a processor, `threads` are those of a CPU, 1 for others.
    """

    device: str
    torch_version: str
    threads: int
    batch_size: int

    @classmethod
    def here(cls, device: torch.device, batch_size: int) -> "Conditions":
        """The conditions of this process on this device."""
        on_cpu = device.type == "cpu"
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu() if on_cpu else device.type
        return cls(name, torch.__version__, torch.get_num_threads() if on_cpu else 1, batch_size)

    def __str__(self) -> str:
        threads = f"{self.threads} {'thread' if self.threads == 1 else 'threads'}"
        return f"{self.device!r} (torch {self.torch_version}, {threads}, batches of {self.batch_size})"


def timed(shape: LayerShape, device: torch.device, batch_size: int, least_seconds: float = 0.2) -> float:
    """The median seconds of a forward pass of one layer in float32, without gradients, of many within `least_seconds`.

    The random state of the process is afterwards what it was.
    """
    # here, since it takes a third of a second and few commands time anything
    from torch.utils.benchmark import Timer

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        layer = _layer(shape).to(device)
        x = torch.randn(_input(shape, batch_size), device=device)
    with torch.no_grad():
        timer = Timer("layer(x)", globals={"layer": layer, "x": x}, num_threads=torch.get_num_threads())
        seconds = timer.blocked_autorange(min_run_time=least_seconds).median
    return float(f"{seconds:.4g}")  # as much as a clock can tell


def _layer(shape: LayerShape) -> nn.Module:
    if shape.window is None:
        return nn.Linear(shape.in_channels, shape.out_channels, bias=shape.bias)
    window = shape.window
    kind = getattr(nn, f"Conv{'Transpose' if window.transposed else ''}{len(window.kernel)}d")
    layer: nn.Module = kind(
        shape.in_channels,
        shape.out_channels,
        window.kernel,
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        groups=shape.groups,
        bias=shape.bias,
        **({"output_padding": window.output_padding} if window.transposed else {}),
    )
    return layer


def _input(shape: LayerShape, batch_size: int) -> tuple[int, ...]:
    if shape.window is None:
        return batch_size, *shape.size, shape.in_channels
    return batch_size, shape.in_channels, *shape.size


def _cpu() -> str:
    """The model of the processor where the system tells it, else its architecture."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
