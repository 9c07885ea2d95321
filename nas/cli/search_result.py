"""What a search says at its end."""

import shlex
import time
from collections.abc import Mapping

from nas.architecture import EpochRecord
from nas.cli.arguments import overrides
from nas.cli.budgets import beside_counts, require_counted, spent_in_words
from nas.cli.following import to_retrain
from nas.cli.progress import shown
from nas.cli.sameness import deciding_values, flat
from nas.cli.search_job import Job, Parts
from nas.optimization import Budget, SearchProcess
from nas.tracking import Summary, device_words
from nas.tracking.tensorboard import Setting


def summary_of(job: Job, parts: Parts, record: EpochRecord, ahead: Mapping[str, float], before: float) -> Summary:
    """The summary of a search whose last epoch is `record`.

    `ahead` are further metrics, `before` the seconds of the runs that this one goes on from. What the budget's cost
    model says of the genotype is held against what is counted on its network.
    """
    costs = parts.costs(record.genotype)
    if parts.budget is not None:
        require_counted(parts.budget, parts.space, record.genotype, costs)
    return Summary(
        command="search",
        space=parts.space.name,
        method=job.settings.method["name"],
        setting=job.overrides,
        seed=job.settings.seed,
        genotype=record.genotype,
        params=costs["params"],
        macs=costs["macs"],
        metrics={
            **_metrics(parts.process, record),
            "bops": costs["bops"],
            "memory_bytes": costs["memory_bytes"],
            **beside_counts(record.budget, costs),
            **ahead,
        },
        epochs=record.epoch + 1,
        device=device_words(parts.device, job.settings.trainer.devices),
        wall_seconds=before + time.time() - job.started,
        config=deciding_values(job.settings.model_dump(), job.overrides, {"data": job.choices["data"]}),
    )


def hparams_of(job: Job) -> dict[str, Setting]:
    """What tells this search from others: the parts by name, the seed, the single values of network and trainer, and
    whatever else was typed."""
    settings = job.settings
    sizes = {"network": settings.network.model_dump(), "trainer": settings.trainer.model_dump()}
    if settings.budget.asked() is not None:
        sizes["budget"] = settings.budget.model_dump()
    single = {
        key: value
        for key, value in flat(sizes).items()
        if isinstance(value, Setting) and not key.rpartition(".")[2].startswith("_")
    }
    typed = {key for word in job.overrides for _, key, _ in overrides([word])}
    further = {key: value for key, value in flat(settings.model_dump()).items() if key in typed and value is not None}
    as_text = {key: value if isinstance(value, Setting) else str(value) for key, value in further.items()}
    return {**job.choices, "seed": settings.seed, **as_text, **single}


def in_words(summary: Summary, job: Job, budget: Budget | None, standing: Mapping[str, float]) -> str:
    """What a person is told: what was found, where it is, and what to type next; `standing` is that of the budget."""
    place = shown(job.folder)
    typed = shlex.quote(str(place))
    return "\n".join(
        [
            f"searched {summary.space} by {summary.method}, seed {summary.seed}: {summary.epochs} epochs "
            f"in {summary.wall_seconds:.0f} s on {summary.device}",
            f"validation accuracy while searching {summary.metrics['valid_accuracy']:.2%}; the derived network has "
            f"{summary.params:,} parameters and {summary.macs:,} MACs",
            *([] if budget is None else [spent_in_words(budget, standing[budget.cost.name])]),
            f"genotype: {place}/genotype.json, its picture {place}/genotype.png, curves: tensorboard --logdir {typed}",
            f"next: {to_retrain(str(place), job.config_folders)}",
        ]
    )


def _metrics(process: SearchProcess, record: EpochRecord) -> dict[str, float]:
    """Those of the last epoch; or, of networks trained one by one, those of the one whose genotype is kept."""
    kept = [candidate for candidate in process.finished() if candidate.genotype == record.genotype]
    measured = max(kept, key=lambda candidate: candidate.valid_accuracy) if kept else record
    return {
        "train_loss": measured.train_loss,
        "train_accuracy": measured.train_accuracy,
        "valid_loss": measured.valid_loss,
        "valid_accuracy": measured.valid_accuracy,
    }
