"""Cases: a kind of file, damaged by what a number says."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from experiments.faults.bytes_mutations import splice
from experiments.faults.kinds import Kind, no_file
from experiments.faults.watch import Outcome, watched
from nas.cli.arguments import CONF

NO_FILE = 1 / 40
SPLICED = 1 / 40
"""How many cases have something at the place of the file that is none, and how many the end of another kind's file."""


class Cases:
    """The cases of one kind, numbered; the same seed and number are the same case in every run."""

    def __init__(self, name: str, kind: Kind, others: Sequence[bytes], seed: int = 0) -> None:
        self.name = name
        self.seed = seed
        self.kind = kind
        self.originals = kind.originals()
        self.beside = kind.beside()
        self.others = others

    def original(self, folder: Path, limit: float) -> Outcome:
        """Reads the first original itself, which has to be accepted."""
        self._prepare(folder).write_bytes(self.originals[0])
        return watched(self.kind.read, folder, limit)

    def run(self, number: int, folder: Path, limit: float) -> Outcome:
        """Reads the damaged file of case `number` in an empty folder, within `limit` seconds."""
        rng = random.Random(f"{self.name} {self.seed} {number}")
        path = self._prepare(folder)
        drawn = rng.random()
        if drawn < NO_FILE:
            no_file(path, rng)
        else:
            original = rng.choice(self.originals)
            spliced = drawn < NO_FILE + SPLICED
            damaged = (
                splice(original, rng.choice(self.others), rng)
                if spliced
                else rng.choice(self.kind.mutations)(original, rng)
            )
            path.write_bytes(damaged)
        return watched(self.kind.read, folder, limit)

    def _prepare(self, folder: Path) -> Path:
        for name, content in self.beside.items():
            (folder / name).write_bytes(content)
        path = folder / self.kind.path
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextmanager
def folder_of_a_case() -> Iterator[Path]:
    """An empty folder, which is the working directory and has the cache; gone afterwards."""
    before = Path.cwd()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-")).resolve()
    try:
        os.chdir(folder)
        with mock.patch.dict(os.environ, {"NAS_CACHE_DIR": str(folder / "cache")}):
            yield folder
    finally:
        os.chdir(before)
        shutil.rmtree(folder)


@contextmanager
def composing() -> Iterator[None]:
    """Readers that need the shipped configs find them, as in a command."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield
