"""Whether a search learns the same however it is run: training losses on digits, step by step."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from experiments.speed.workload import BATCHED, COMPILED, EDGE_BY_EDGE, Subject
from nas.rendering.figures import blank, encoded
from nas.rendering.scatter_plots import COLOURS
from nas.space import Skeleton


@dataclass(frozen=True)
class Setting:
    """A way to run a search, and its seed: of weights, alphas and batches."""

    variant: str
    autocast: torch.dtype | None = None
    seed: int = 0


SETTINGS = {
    "edge_by_edge float32": Setting(EDGE_BY_EDGE),
    "batched float32": Setting(BATCHED),
    "batched bf16": Setting(BATCHED, torch.bfloat16),
    "edge_by_edge float32, another seed": Setting(EDGE_BY_EDGE, seed=1),
}
"""What is compared. Two seeds of the definition show how far apart curves lie that differ by chance alone."""

COMPILED_TOO = {**SETTINGS, "compiled float32": Setting(COMPILED)}

SMOOTHED = 20  # steps whose mean is drawn


def loss_curves(
    space: str,
    settings: Mapping[str, Setting] = SETTINGS,
    *,
    channels: int,
    cells: int,
    batch: int,
    steps: int,
    device: torch.device,
) -> dict[str, list[float]]:
    """The training losses of a first-order search, by setting."""
    with initialize_config_module("nas.conf", version_base="1.3"):
        source = instantiate(compose("search", overrides=["data=digits"]).data)
    halves = source.split(source.train())
    in_channels, image_size, _ = halves[0].shape
    skeleton = Skeleton(channels, cells, num_classes=halves[0].num_classes, in_channels=in_channels)
    subject = Subject(space, skeleton, image_size)
    curves = {}
    for name, setting in settings.items():
        search = subject.search(setting.variant, device=device, autocast=setting.autocast, seed=setting.seed)
        train, valid = (half.stream(batch_size=batch, seed=setting.seed, device=device) for half in halves)
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
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["step", *curves])
    lines.writerows([step, *losses] for step, losses in enumerate(zip(*curves.values(), strict=True)))
    return text.getvalue()


def as_png(curves: Mapping[str, Sequence[float]], title: str) -> bytes:
    """All curves over the steps, means of the last 20; later ones are thinner, so that equal ones can be told apart."""
    figure = blank(800, 460)
    axes = figure.add_subplot()
    for number, (name, losses) in enumerate(curves.items()):
        axes.plot(_smoothed(losses), color=COLOURS[number], linewidth=3.5 / (1 + number), label=name)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return encoded(figure, "png")


def _smoothed(losses: Sequence[float]) -> list[float]:
    sums = [0.0, *accumulate(losses)]
    ends = range(1, len(sums))
    return [(sums[end] - sums[max(0, end - SMOOTHED)]) / min(end, SMOOTHED) for end in ends]
