"""Everything that a search leaves in its run directory."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from nas.architecture import EpochRecord, Genotype, Mixture
from nas.cli.drawing import write_picture, write_sizes
from nas.optimization import SearchProcess
from nas.rendering import animation, heat_map
from nas.space import SearchSpace
from nas.tracking import (
    Candidate,
    TensorBoard,
    append_candidate,
    append_line,
    entropy,
    json_line,
    write_atomically,
)
from nas.tracking.tensorboard import Setting


class SearchLog:
    """Writes each epoch as it comes; a context manager.

    Every epoch: a line of `search.jsonl`, `genotype.json` with its picture, and in TensorBoard the curves, the mixture
    as heat maps and the genotype drawn, its sizes as bars. At the end: the genotype's evolution as one animation. A
    genotype is drawn once: its picture says since which epoch it holds. Networks that the search trains one by one are
    lines of `candidates.jsonl`, with what `costs` says of their genotypes.

    `lines` are those of the epochs so far, where the run goes on in a directory: of what the directory holds all that
    is of a later epoch goes, or is hidden.
    """

    def __init__(
        self,
        folder: Path,
        space: SearchSpace,
        costs: Callable[[Genotype], Mapping[str, float]],
        lines: Sequence[str] | None = None,
    ) -> None:
        self.folder = folder
        self.space = space
        self.costs = costs
        self.lines: list[str] = []
        self.board = TensorBoard(folder, first_epoch=None if lines is None else len(lines))
        self._frames: list[bytes] = []
        self._frame = b""
        self._drawn: Genotype | None = None
        self._sizes: bytes | None = None
        self._candidates = 0
        if lines is not None:
            self._go_on(lines)

    def __enter__(self) -> "SearchLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.board.__exit__(kind, error, trace)

    def epoch(self, record: EpochRecord, process: SearchProcess) -> None:
        """Writes down one epoch."""
        append_line(self.folder / "search.jsonl", record.to_dict())
        self.lines.append(json_line(record.to_dict()))
        self.board.scalars(self._curves(record), record.epoch)
        mixture = process.mixture()
        if mixture is not None:
            self._mixture(mixture, record.epoch)
        self.candidates(process)
        self._draw(record.genotype, record.epoch)
        self.board.png("genotype", self._frames[-1], record.epoch)
        if self._sizes is not None:
            self.board.png("sizes", self._sizes, record.epoch)
        self.board.flush()

    def candidates(self, process: SearchProcess) -> None:
        """Writes down the networks that were trained since the last time."""
        finished = process.finished()
        for record in finished[self._candidates :]:
            append_candidate(self.folder, Candidate(record, self.costs(record.genotype)))
        self._candidates = len(finished)

    def finish(self, record: EpochRecord, settings: Mapping[str, Setting], metrics: Mapping[str, float]) -> None:
        """Writes down what only the whole search has; in TensorBoard behind the last epoch."""
        epochs = record.epoch + 1
        film = animation(self._frames)
        write_atomically(self.folder / "evolution.gif", film)
        self.board.gif("evolution", film, epochs)
        self.board.hparams(settings, metrics, epochs)

    def _curves(self, record: EpochRecord) -> dict[str, float]:
        return {
            "loss/train": record.train_loss,
            "loss/valid": record.valid_loss,
            "accuracy/train": record.train_accuracy,
            "accuracy/valid": record.valid_accuracy,
            "seconds": record.seconds,
            **{f"budget/{name}": value for name, value in record.budget.items()},
            **self.space.statistics(record.genotype),
        }

    def _go_on(self, lines: Sequence[str]) -> None:
        for name in ("candidates.jsonl", "summary.json"):
            (self.folder / name).unlink(missing_ok=True)
        write_atomically(self.folder / "search.jsonl", "".join(lines))
        for line in lines:
            self.lines.append(line)
            record = EpochRecord.from_dict(json.loads(line))
            self._draw(record.genotype, record.epoch)

    def _draw(self, genotype: Genotype, epoch: int) -> None:
        """Adds a frame, and writes the files of a genotype that is new."""
        if genotype != self._drawn:
            write_atomically(self.folder / "genotype.json", genotype.to_json())
            caption = f"{self.space.name}, since epoch {epoch}"
            self._frame = write_picture(self.space.graphs(genotype), self.folder / "genotype", caption=caption)
            if charts := self.space.charts(genotype):
                self._sizes = write_sizes(charts, self.folder / "genotype", caption=caption)
            self._drawn = genotype
        self._frames.append(self._frame)

    def _mixture(self, mixture: Mixture, epoch: int) -> None:
        for table, weights in mixture.tables.items():
            self.board.scalars({f"alpha_entropy/{table}": float(entropy(weights).mean())}, epoch)
            choices = mixture.layout.rows[table]
            if len(choices) > 1:
                rows = [choice.name.removesuffix(f"/{choice.kind}") for choice in choices]
                columns = [str(candidate) for candidate in choices[0].candidates]
                png = heat_map(weights.cpu(), rows, columns, title=f"mixture weights of {table}, epoch {epoch}")
                self.board.png(f"alphas/{table}", png, epoch)
