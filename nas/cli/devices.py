"""Which devices the processes of a run compute on."""

import torch

from nas.parallel import torchrun_seat


def device_of(name: str, threads: int | None, *, rank: int = 0, size: int = 1) -> torch.device:
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`; a ValueError for a device that is not there.

    Of several processes on GPUs each has the one of its rank. `threads` sets how many threads share one operation on
    the CPU, in each process.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    name = _chosen(name)
    if name == "cuda" and size > 1:
        name = f"cuda:{rank}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"there is no device {name!r}; give auto, cpu, cuda or cuda:NUMBER") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no device {name!r}: {torch.cuda.device_count()} GPUs are visible; give auto or cpu")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r} is not supported; give auto, cpu, cuda or cuda:NUMBER")
    return device


def require_devices(name: str, devices: int) -> None:
    """A ValueError unless `devices` processes can have a device each, and torchrun, where it is used, made as many."""
    seat = torchrun_seat()
    if seat is not None and seat.size != devices:
        raise ValueError(
            f"trainer.devices is {devices}, but torchrun started {seat.size} processes; "
            f"give trainer.devices={seat.size}"
        )
    if devices == 1:
        return
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device {name!r} is one device, but trainer.devices is {devices}; give auto, cpu or cuda")
    visible = torch.cuda.device_count()
    if _chosen(name) == "cuda" and visible < devices:
        raise ValueError(
            f"trainer.devices is {devices}, but {visible} GPUs are visible; give at most {visible}, or device=cpu"
        )


def _chosen(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
