"""The command line."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from experiments.speed.epoch import PUBLISHED_SETTINGS, SHORT, on_cifar10, on_digits
from experiments.speed.epoch_report import EpochResults
from experiments.speed.loss_curve import COMPILED_TOO, SETTINGS, as_csv, as_png, loss_curves
from experiments.speed.machine import measured_rates, settled
from experiments.speed.measure import Bench, Count, Row, count
from experiments.speed.report import Results
from experiments.speed.workload import ORDERS, Subject
from nas.cli.devices import device_of
from nas.space import Skeleton
from nas.tracking import device_words, versions
from nas.tracking.files import write_atomically

PRECISIONS = {"float32": None, "bf16": torch.bfloat16}


def main(words: Sequence[str] | None = None) -> None:
    """Measures, or draws loss curves; prints the page, and writes it where `--out` says."""
    options = _parser().parse_args(words)
    device = device_of(options.device, options.threads)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    if options.loss_curve:
        return _draw_loss_curves(options, device)
    if options.epochs is not None:
        epochs = _watch_epochs(options, device)
        return _write(options.out, "epochs", epochs.page(), epochs.data())
    results = _measure(options, device)
    _write(options.out, "results", results.page(breakdown=options.breakdown), results.data())


def _write(folder: Path | None, name: str, page: str, data: dict[str, Any]) -> None:
    """Prints the page, and writes page and data to the folder."""
    print(page)
    if folder:
        write_atomically(folder / f"{name}.md", page)
        write_atomically(folder / f"{name}.json", json.dumps(data, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m experiments.speed", description=__doc__)
    orders = ", ".join(f"{number} {order.work}" for number, order in enumerate(ORDERS))
    add = parser.add_argument
    add("--spaces", nargs="+", default=["darts", "pc_darts"], choices=("darts", "pc_darts", "pc_darts_k2"))
    add("--orders", nargs="+", type=int, default=[0, 1, 2], choices=range(len(ORDERS)), help=orders)
    add("--batches", nargs="+", type=int, default=[16, 64], help="images a step")
    add("--channels", type=int, default=16)
    add("--cells", type=int, default=8)
    add("--image-size", type=int, default=32)
    add("--repetitions", type=int, default=7)
    add("--threads", type=int, help="of one operation on the CPU; left out, torch chooses")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:NUMBER")
    add("--precision", default="float32", choices=PRECISIONS)
    add("--recompute", action="store_true", help="the batched supernet with space.recompute=true, too")
    add("--compile", action="store_true", help="measure torch.compile of the batched supernet too")
    add("--breakdown", action="store_true", help="kernels and bytes by operation")
    add("--loss-curve", action="store_true", help="instead: training losses on digits, to the folder --out")
    add("--epochs", type=int, help="instead: where the time of an epoch goes, over this many of a search, at least 2")
    add("--steps", type=int, default=200, help="of a loss curve, whose batch is the first of --batches")
    add("--out", type=Path, help="folder for the page and its data")
    return parser


def _measure(options: argparse.Namespace, device: torch.device) -> Results:
    autocast = PRECISIONS[options.precision]
    rates = measured_rates(device, autocast or torch.float32)
    bench = Bench(device, autocast, options.repetitions, options.recompute, options.compile, rates)
    skeleton = Skeleton(options.channels, options.cells)
    rows: list[Row] = []
    counts: list[Count] = []
    for subject in (Subject(space, skeleton, options.image_size) for space in options.spaces):
        counts += count(subject, device)
        for order in options.orders:
            for batch in options.batches:
                _say(f"{subject.space}, {ORDERS[order].work}, batch {batch}")
                rows += bench.rows(subject, order, batch)
    return Results(_machine(device), versions(), _told(options), rates, rows, counts)


def _watch_epochs(options: argparse.Namespace, device: torch.device) -> EpochResults:
    if options.epochs < 2:
        sys.exit(f"error: --epochs is {options.epochs}; give at least 2: the first is not counted")
    if unknown := {*options.spaces} - {*PUBLISHED_SETTINGS}:
        sys.exit(f"error: --epochs takes the spaces {', '.join(PUBLISHED_SETTINGS)}, not {', '.join(sorted(unknown))}")
    threads = [] if options.threads is None else [f"threads={options.threads}"]
    words = [
        f"device={device}",
        f"trainer.precision={options.precision}",
        f"space.recompute={options.recompute}",
        *threads,
    ]
    size = [f"network.channels={options.channels}", f"network.cells={options.cells}"]
    searches = []
    for space in options.spaces:
        _say(f"{space}, {options.epochs} epochs on digits")
        searches.append(on_digits(space, options.epochs, words, settled(device)))
        for batch in options.batches:
            _say(f"{space}, {options.epochs} epochs of {SHORT} steps, batch {batch}")
            sizes = {"batch": batch, "image_size": options.image_size}
            searches.append(on_cifar10(space, options.epochs, [*words, *size], settled(device), **sizes))
    return EpochResults(_machine(device), versions(), _told(options), searches)


def _told(options: argparse.Namespace) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}


def _machine(device: torch.device) -> dict[str, Any]:
    facts = {"device": device_words(device), "machine": platform.machine(), "cores": os.cpu_count()}
    arithmetic = {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "float32 matrix products": torch.get_float32_matmul_precision(),
        "cuDNN in TF32": torch.backends.cudnn.allow_tf32,
    }
    return facts | arithmetic


def _draw_loss_curves(options: argparse.Namespace, device: torch.device) -> None:
    if not options.out:
        sys.exit("error: --loss-curve needs --out FOLDER")
    for space in options.spaces:
        _say(f"{space}, {options.steps} steps of each setting")
        curves = loss_curves(
            space,
            COMPILED_TOO if options.compile else SETTINGS,
            channels=options.channels,
            cells=options.cells,
            batch=options.batches[0],
            steps=options.steps,
            device=device,
        )
        title = f"{space} on digits, {options.channels} channels, {options.cells} cells, batch {options.batches[0]}"
        write_atomically(options.out / f"loss_{space}.csv", as_csv(curves))
        write_atomically(options.out / f"loss_{space}.png", as_png(curves, title))
        for name, losses in curves.items():
            last = losses[-20:]
            print(f"{space}, {name}: mean loss of the last {len(last)} steps {sum(last) / len(last):.4f}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
