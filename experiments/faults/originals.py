"""Real files of every kind, small, as the program itself writes them."""

import io
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from nas.architecture import ArchParameters, CandidateRecord, Genotype
from nas.costs import Conditions, LatencyTable
from nas.space import SearchSpace, Skeleton
from nas.tracking import Candidate, Summary, save_checkpoint
from search_spaces.cells import CellSpace
from search_spaces.cells.authors_form import write
from search_spaces.cells.published import PUBLISHED
from search_spaces.networks import NetworkSpace

SKELETON = Skeleton(channels=4, num_cells=1, num_classes=3, image_size=(8, 8))
COSTS = {"params": 1000, "macs": 2000, "bops": 3000, "memory_bytes": 4000}
METRICS = {"train_loss": 0.5, "train_accuracy": 0.875, "valid_loss": 0.75, "valid_accuracy": 0.75}


def cell_space() -> SearchSpace:
    """The smallest space of cells."""
    operators = ("none", "skip_connect", "sep_conv_3x3")
    return CellSpace(name="pc_darts", operators=operators, num_nodes=2, partial_channels=2, edge_normalization=True)


def sized_space() -> NetworkSpace:
    """A small space of a network's sizes."""
    return NetworkSpace(
        name="joint",
        backbone="resnet20",
        backbone_arguments={"depth": 8, "channels": 4},
        widths=(0.5, 1.0),
        weight_bits=(2, 8),
        input_bits=(2, 8),
        first_bits=8,
        last_bits=8,
        operators=("conv_3x3", "conv_1x1"),
        input_shape=(3, 8, 8),
    )


def genotype(space: SearchSpace) -> Genotype:
    """The same genotype of a space every time."""
    return space.sample(torch.Generator().manual_seed(0))


def genotype_json(space: SearchSpace) -> bytes:
    """`genotype.json`."""
    return genotype(space).to_json().encode()


def authors_forms() -> tuple[bytes, ...]:
    """Published genotypes in the authors' form."""
    return tuple(f"{name} = {write(PUBLISHED[name])}\n".encode() for name in ("DARTS_V2", "NASNet"))


def latency_table() -> bytes:
    """The latencies of two layers."""
    seconds = {"conv 3 -> 16, 3x3, 32x32": 1.5e-4, "linear 64 -> 10": 2e-6}
    return LatencyTable(Conditions("a processor", "2.13.0", 2, 32), seconds).to_json().encode()


def summary() -> bytes:
    """`summary.json` of a search."""
    found = Summary(
        command="search",
        space="pc_darts",
        method="random",
        setting=("space=pc_darts", "trainer.epochs=2"),
        seed=1,
        genotype=genotype(cell_space()),
        params=1000,
        macs=2000,
        metrics={**METRICS, "bops": 3000, "memory_bytes": 4000},
        epochs=2,
        device="cpu (1 thread)",
        wall_seconds=12.5,
    )
    return (json.dumps(found.to_dict(), indent=2) + "\n").encode()


def candidates() -> bytes:
    """`candidates.jsonl` with two lines."""
    records = (CandidateRecord(f"random {n}", genotype(cell_space()), 2, **METRICS) for n in range(2))
    return b"".join(json.dumps(Candidate(record, COSTS).to_dict()).encode() + b"\n" for record in records)


def overrides() -> bytes:
    """`.hydra/overrides.yaml`."""
    return b"- space=pc_darts\n- ++seed=5\n- data=npz\n- ++data.root='a file.npz'\n- ++data.cutout=2\n"


def arrays() -> bytes:
    """An .npz file of images and labels."""
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(12) % 3
    return _npz(x_train=images, y_train=labels, x_test=images[:6], y_test=labels[:6])


def pack() -> bytes:
    """A pack of JPEG images with a common header."""
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
    files = [_encoded(image, "JPEG") for image in images]
    scan = files[0].index(b"\xff\xda")
    cut = scan + 2 + int.from_bytes(files[0][scan + 2 : scan + 4], "big")
    scans = [file[cut:] for file in files]
    return _npz(
        header=np.frombuffer(files[0][:cut], np.uint8),
        data=np.frombuffer(b"".join(scans), np.uint8),
        offsets=np.cumsum([0, *map(len, scans)]),
        labels=np.arange(9, dtype=np.uint8) % 3,
        split=np.array([0, 1, 0, 0, 1, 0, 0, 1, 0], np.uint8),
        classes=np.array(["ant", "bee", "cat"]),
    )


def pictures() -> tuple[bytes, ...]:
    """One picture in each of the usual formats."""
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return tuple(_encoded(image, form) for form in ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP"))


def supernet_checkpoint() -> bytes:
    """`checkpoint.pt` of a search of sizes, with all that a network inherits from."""
    torch.manual_seed(0)
    space = sized_space()
    supernet, alphas = space.supernet(SKELETON), ArchParameters(space.choices)
    return checkpoint({"skeleton": asdict(SKELETON), "weights": supernet.state_dict(), "alphas": alphas.state_dict()})


def weights() -> bytes:
    """A state dict of the `plain_network`."""
    file = io.BytesIO()
    torch.save(plain_network().state_dict(), file)
    return file.getvalue()


def plain_network() -> torch.nn.Module:
    """A network whose weights a person may bring."""
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten())


def _npz(**found: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **found)
    return file.getvalue()


def _encoded(image: np.ndarray, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format=form)
    return file.getvalue()


def checkpoint(state: dict[str, Any]) -> bytes:
    """A state as `save_checkpoint` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder) / "checkpoint.pt", state)
        return (Path(folder) / "checkpoint.pt").read_bytes()
