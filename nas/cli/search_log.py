"""Everything that a search leaves in its run directory."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from nas.architecture import EpochRecord, Genotype, Mixture
from nas.cli.drawing import write_picture, write_sizes
from nas.optimization import SearchProcess
from nas.rendering import animation, heat_map
from nas.space import SearchSpace, Skeleton
from nas.tracking import (
    Candidate,
    TensorBoard,
    append_candidate,
    append_line,
    entropy,
    save_checkpoint,
    write_atomically,
)
from nas.tracking.tensorboard import Setting


class SearchLog:
    """Writes each epoch as it comes, so that a run that stops has lost nothing; a context manager.

    Every epoch: a line of `search.jsonl`, `genotype.json` with its picture, `checkpoint.pt`, and in TensorBoard the
    curves, the mixture as heat maps and the genotype drawn, its sizes as bars. At the end: the genotype's evolution as
    one animation. A genotype is drawn once: its picture says since which epoch it holds. Networks that the search
    trains one by one are lines of `candidates.jsonl`, with what `costs` says of their genotypes.
    """

    def __init__(
        self,
        folder: Path,
        space: SearchSpace,
        skeleton: Skeleton,
        costs: Callable[[Genotype], Mapping[str, float]],
    ) -> None:
        self.folder = folder
        self.space = space
        self.skeleton = skeleton
        self.costs = costs
        self.board = TensorBoard(folder)
        self._frames: list[bytes] = []
        self._drawn: Genotype | None = None
        self._sizes: bytes | None = None
        self._candidates = 0

    def __enter__(self) -> "SearchLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.board.close()

    def epoch(self, record: EpochRecord, process: SearchProcess) -> None:
        """Writes down one epoch."""
        append_line(self.folder / "search.jsonl", record.to_dict())
        self.board.scalars(self._curves(record), record.epoch)
        mixture = process.mixture()
        if mixture is not None:
            self._mixture(mixture, record.epoch)
        self._new_candidates(process)
        self._genotype(record.genotype, record.epoch)
        state = {"epoch": record.epoch, "skeleton": asdict(self.skeleton), **process.state_dict()}
        save_checkpoint(self.folder / "checkpoint.pt", state)

    def finish(self, record: EpochRecord, settings: Mapping[str, Setting], metrics: Mapping[str, float]) -> None:
        """Writes down what only the whole search has."""
        film = animation(self._frames)
        write_atomically(self.folder / "evolution.gif", film)
        self.board.gif("evolution", film, record.epoch)
        self.board.hparams(settings, metrics)

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

    def _new_candidates(self, process: SearchProcess) -> None:
        finished = process.finished()
        for record in finished[self._candidates :]:
            append_candidate(self.folder, Candidate(record, self.costs(record.genotype)))
        self._candidates = len(finished)

    def _genotype(self, genotype: Genotype, epoch: int) -> None:
        if genotype == self._drawn:
            png = self._frames[-1]
        else:
            write_atomically(self.folder / "genotype.json", genotype.to_json())
            caption = f"{self.space.name}, since epoch {epoch}"
            png = write_picture(self.space.graphs(genotype), self.folder / "genotype", caption=caption)
            if charts := self.space.charts(genotype):
                self._sizes = write_sizes(charts, self.folder / "genotype", caption=caption)
            self._drawn = genotype
        self.board.png("genotype", png, epoch)
        if self._sizes is not None:
            self.board.png("sizes", self._sizes, epoch)
        self._frames.append(png)

    def _mixture(self, mixture: Mixture, epoch: int) -> None:
        for table, weights in mixture.tables.items():
            self.board.scalars({f"alpha_entropy/{table}": float(entropy(weights).mean())}, epoch)
            choices = mixture.layout.rows[table]
            if len(choices) > 1:
                rows = [choice.name.removesuffix(f"/{choice.kind}") for choice in choices]
                columns = [str(candidate) for candidate in choices[0].candidates]
                png = heat_map(weights.cpu(), rows, columns, title=f"mixture weights of {table}, epoch {epoch}")
                self.board.png(f"alphas/{table}", png, epoch)
