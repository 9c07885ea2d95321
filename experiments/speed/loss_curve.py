"""Whether a search learns the same however it is run: training losses on digits, step by step."""

from collections.abc import Mapping, Sequence

import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from experiments.speed.workload import BATCHED, EDGE_BY_EDGE, Subject
from nas.rendering.figures import blank, encoded
from nas.rendering.scatter_plots import COLOURS
from nas.space import Skeleton

SETTINGS: dict[str, tuple[str, torch.dtype | None]] = {
    "edge_by_edge float32": (EDGE_BY_EDGE, None),
    "batched float32": (BATCHED, None),
    "batched bf16": (BATCHED, torch.bfloat16),
}


def loss_curves(
    space: str, *, channels: int, cells: int, batch: int, steps: int, device: torch.device, seed: int = 0
) -> dict[str, list[float]]:
    """The training losses of a first-order search with the same seed, by setting."""
    with initialize_config_module("nas.conf", version_base="1.3"):
        source = instantiate(compose("search", overrides=["data=digits"]).data)
    halves = source.split(source.train())
    in_channels, image_size, _ = halves[0].shape
    skeleton = Skeleton(channels, cells, num_classes=halves[0].num_classes, in_channels=in_channels)
    subject = Subject(space, skeleton, image_size)
    curves = {}
    for name, (variant, autocast) in SETTINGS.items():
        search = subject.search(variant, device=device, autocast=autocast, seed=seed)
        train, valid = (half.stream(batch_size=batch, seed=seed, device=device) for half in halves)
        losses = []
        for _ in range(steps):
            here = next(train)
            search.arch_step(here, next(valid))
            loss, _ = search.weight_step(here)
            losses.append(loss)
        curves[name] = torch.stack(losses).tolist()
    return curves


def as_csv(curves: Mapping[str, Sequence[float]]) -> str:
    """A line a step, a column a curve."""
    lines = zip(*curves.values(), strict=True)
    numbered = (",".join([str(step), *map(repr, losses)]) for step, losses in enumerate(lines))
    return "\n".join([",".join(["step", *curves]), *numbered]) + "\n"


def as_png(curves: Mapping[str, Sequence[float]], title: str) -> bytes:
    """All curves over the steps; later ones are thinner, so that equal ones can be told apart."""
    figure = blank(800, 460)
    axes = figure.add_subplot()
    for number, (name, losses) in enumerate(curves.items()):
        axes.plot(losses, color=COLOURS[number], linewidth=3.0 - number, label=name)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return encoded(figure, "png")
