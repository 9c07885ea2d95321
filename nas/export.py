"""python -m nas.export genotype=RUN_DIR: writes a retrained network as a file that runs elsewhere."""

import json
import os
import sys
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from nas.cli.command import run
from nas.cli.following import check_following
from nas.cli.mistakes import checked
from nas.cli.progress import shown
from nas.cli.retrained import Retrained, read_retrained
from nas.cli.settings import Export
from nas.exporting import FileFormat, export, random_batches
from nas.reading import read_bytes
from nas.tracking import versions, write_atomically

LARGEST = 16 * 2**30
"""Bytes of a former export."""


def export_network(config: DictConfig) -> None:
    """Writes the file, after its logits have been compared with those of the network."""
    settings: Export = checked("export", OmegaConf.to_container(config, resolve=True))
    check_following(settings.genotype)
    file_format: FileFormat = instantiate(settings.format)
    retrained = read_retrained(settings.genotype, settings.space)
    metadata = _metadata(retrained)
    path = Path(settings.output or Path(settings.genotype) / f"network{file_format.ending}")
    require_former(path, file_format, metadata)
    exported = export(
        retrained.network,
        random_batches(retrained.skeleton.image_shape),
        file_format=file_format,
        tolerance=settings.tolerance,
        metadata=metadata,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, exported.data)
    print(f"exported {shown(path)}, {len(exported.data):,} bytes, the weights after epoch {retrained.epoch}")
    comparison = exported.comparison
    print(f"largest difference to the network's logits {comparison.difference:.2g}, allowed {comparison.allowed:.2g}")
    if comparison.turned:
        print(f"{comparison.turned:,} numbers at the border of two levels were rounded to the other one in the file")


def _metadata(retrained: Retrained) -> dict[str, str]:
    return {
        "genotype": retrained.genotype.to_json(),
        "space": retrained.genotype.space,
        "epoch": str(retrained.epoch),
        "versions": json.dumps(versions()),
    }


def require_former(path: Path, file_format: FileFormat, metadata: dict[str, str]) -> None:
    """A ValueError unless nothing is at a path, or a former export of the same genotype, which may be written over."""
    if path.is_dir():
        raise ValueError(f"output {path} is a folder; give the name of a file")
    if not os.path.lexists(path):
        return
    if file_format.metadata(read_bytes(path, LARGEST)).get("genotype") != metadata["genotype"]:
        raise ValueError(f"{path} is no former export of this genotype: give another output, or move it away")


def main() -> int:
    """The command; returns its exit status."""
    return run("export", export_network, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
