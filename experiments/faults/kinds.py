"""Every kind of file that a person may have from somebody else: an original, what is done to it, and who reads it."""

import functools
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from experiments.faults import composing, exports, left, originals
from experiments.faults.archive_mutations import mutate_archive, mutate_arrays
from experiments.faults.bytes_mutations import mutate_bytes
from experiments.faults.checkpoint_mutations import (
    mutate_optimizer,
    mutate_position,
    mutate_state,
    mutate_torch_archive,
)
from experiments.faults.config_mutations import CONFIG
from experiments.faults.value_mutations import mutate_json, mutate_json_lines
from nas.cli.following import taken_over
from nas.cli.inheritance import inherited_network
from nas.cli.latencies import read_latencies
from nas.cli.parts import space_of
from nas.cli.retrained import read_retrained
from nas.data import ImageFolder, Npz, StratifiedSplit
from nas.tracking import collect, read_candidates, read_summary, tabulate, tabulate_candidates, to_csv, to_markdown
from nas.tracking.candidate_table import candidates_to_csv, candidates_to_markdown
from search_spaces.genotypes import read_genotype
from search_spaces.networks.pretrained import load_pretrained

Mutation = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        path: where it lies in the folder of a case.
        originals: makes the files that are damaged.
        mutations: what damages them; one is drawn for a case.
        read: reads it, given the folder of the case.
        beside: other files in that folder.
        share: how many cases it has for one of another kind.
    """

    path: str
    originals: Callable[[], tuple[bytes, ...]]
    mutations: tuple[Mutation, ...]
    read: Callable[[Path], object]
    beside: Callable[[], Mapping[str, bytes]] = field(default=dict)
    share: float = 1.0


def _cells(folder: Path) -> None:
    """What nas.draw and nas.cost do with a genotype of cells."""
    found = read_genotype(str(folder))
    space = space_of(found, None)
    space.graphs(found)
    with torch.device("meta"):
        space.network(found, originals.SKELETON)


def _sizes(folder: Path) -> None:
    """What nas.draw does with a genotype of sizes, in a space that is there already where its settings are the same."""
    found = read_genotype(str(folder))
    known = _sized()
    space = known if found.settings == originals.genotype(known).settings else space_of(found, None)
    space.graphs(found)
    space.charts(found)


@functools.cache
def _sized() -> "originals.NetworkSpace":
    return originals.sized_space()


def _authors(folder: Path) -> None:
    found = read_genotype(str(folder / "genotype.txt"))
    space_of(found, None).graphs(found)


def _report(folder: Path) -> None:
    read_summary(folder)
    _tables(folder)


def _candidates(folder: Path) -> None:
    read_candidates(folder)
    _tables(folder)


def _tables(folder: Path) -> None:
    """What nas.report prints and writes."""
    runs = collect([folder])
    table, trained = tabulate(runs), tabulate_candidates(runs)
    for text in (to_markdown(table), to_csv(table), candidates_to_markdown(trained), candidates_to_csv(trained)):
        text.encode()


def _npz(folder: Path) -> None:
    source = Npz(root=str(folder / "pack.npz"), split=StratifiedSplit())
    train, _ = source.split(source.train())
    train.stream(batch_size=1, seed=0, device=torch.device("cpu"))
    source.test()


def _pictures(folder: Path) -> None:
    source = ImageFolder(root=str(folder), size=8, workers=0, mean=[0.5] * 3, std=[0.5] * 3, split=StratifiedSplit())
    samples = source.train()
    next(samples.stream(batch_size=1, seed=0, device=torch.device("cpu")))
    list(samples.batches(batch_size=1, device=torch.device("cpu")))


def _inherited(folder: Path) -> None:
    space = _sized()
    inherited_network(str(folder), space, originals.genotype(space), originals.SKELETON)


def _taken(folder: Path) -> None:
    assert not [word for word in taken_over([f"genotype={folder}"]) if "_target_" in word]


def _with_genotype() -> Mapping[str, bytes]:
    return {"genotype.json": originals.genotype_json(originals.cell_space())}


JSON = (mutate_json, mutate_json, mutate_bytes)
TORCH = (mutate_state, mutate_state, mutate_torch_archive, mutate_torch_archive, mutate_bytes)
STATE = (*2 * (mutate_optimizer,), *2 * (mutate_position,), *TORCH)
KINDS: Mapping[str, Kind] = {
    "genotype of cells": Kind(
        "genotype.json", lambda: (originals.genotype_json(originals.cell_space()),), JSON, _cells, share=2
    ),
    "genotype of sizes": Kind("genotype.json", lambda: (originals.genotype_json(_sized()),), JSON, _sizes, share=0.5),
    "genotype in the authors' form": Kind("genotype.txt", originals.authors_forms, (mutate_bytes,), _authors),
    "latency table": Kind(
        "latency.json",
        lambda: (originals.latency_table(),),
        JSON,
        lambda folder: read_latencies(folder / "latency.json"),
    ),
    "summary of a run": Kind("summary.json", lambda: (originals.summary(),), JSON, _report),
    "candidates of a run": Kind(
        "candidates.jsonl",
        lambda: (originals.candidates(),),
        (mutate_json_lines, mutate_json_lines, mutate_bytes),
        _candidates,
        lambda: {"summary.json": originals.summary()},
    ),
    "overrides of a run": Kind(".hydra/overrides.yaml", lambda: (originals.overrides(),), (mutate_bytes,), _taken),
    "arrays (.npz)": Kind(
        "pack.npz", lambda: (originals.arrays(),), (mutate_arrays, mutate_archive, mutate_bytes), _npz
    ),
    "JPEG pack (.npz)": Kind(
        "pack.npz", lambda: (originals.pack(),), (mutate_arrays, mutate_archive, mutate_bytes), _npz
    ),
    "picture": Kind("train/cat/a.jpg", originals.pictures, (mutate_bytes,), _pictures),
    "weights of a supernet": Kind("checkpoint.pt", lambda: (originals.supernet_checkpoint(),), TORCH, _inherited),
    "weights of a retraining": Kind(
        "checkpoint.pt",
        lambda: (left.left("retrain"),),
        TORCH,
        lambda folder: read_retrained(str(folder), None),
        _with_genotype,
    ),
    "checkpoint of a search": Kind(
        "checkpoint.pt", lambda: (left.left("search"),), STATE, lambda folder: left.go_on("search", left.search, folder)
    ),
    "checkpoint of a retraining": Kind(
        "checkpoint.pt",
        lambda: (left.left("retrain"),),
        STATE,
        lambda folder: left.go_on("retrain", left.retraining, folder),
    ),
    "weights (space.init_from)": Kind(
        "weights.pt",
        lambda: (originals.weights(),),
        TORCH,
        lambda folder: load_pretrained(originals.plain_network(), str(folder / "weights.pt")),
    ),
}


KINDS = {
    **KINDS,
    **{
        f"config ({group})": Kind(
            f"conf/{group}/mine.yaml",
            functools.partial(composing.originals, group),
            CONFIG,
            composing.composed(group),
            share=0.5,
        )
        for group in composing.WORDS
    },
    "former export (ONNX)": Kind(
        "network.onnx",
        lambda: (exports.export("onnx"),),
        (mutate_bytes,),
        functools.partial(exports.replaced, "onnx"),
        share=0.5,
    ),
    "former export (PT2)": Kind(
        "network.pt2",
        lambda: (exports.export("pt2"),),
        (mutate_archive, mutate_bytes),
        functools.partial(exports.replaced, "pt2"),
        share=0.5,
    ),
}


def no_file(path: Path, rng: random.Random) -> None:
    """Puts something at `path` that is no file to be read: a folder, a pipe, a link to a device, a hole of 1 TB, …"""
    rng.choice((path.mkdir, lambda: os.mkfifo(path), lambda: _link(path, rng), lambda: _hole(path), lambda: None))()


def _link(path: Path, rng: random.Random) -> None:
    path.symlink_to(rng.choice(("/dev/zero", "/dev/tty", "/nowhere", path.name, "/", "/proc/self/mem")))


def _hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)
