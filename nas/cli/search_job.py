"""What a search is asked to do, and what it is made of."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import yaml
from hydra.utils import instantiate

from nas.architecture import Genotype
from nas.cli.budgets import budget_of
from nas.cli.mistakes import checked
from nas.cli.parts import feed_of, recipe_of, require_use, skeleton_of
from nas.cli.settings import Search
from nas.costs import count
from nas.data import DataSource
from nas.optimization import Budget, SearchMethod, SearchProcess
from nas.parallel import Ranks
from nas.space import SearchSpace, Skeleton
from nas.tracking import COSTS


@dataclass(frozen=True)
class Job:
    """All that a search needs to know, as plain data: it travels as text to the processes that share the search."""

    settings: Search
    folder: Path
    overrides: tuple[str, ...]
    choices: dict[str, str]
    started: float
    checkpoint: str | None = None
    config_folders: tuple[str, ...] = ()

    def to_text(self) -> str:
        """YAML, which keeps every value that a config can hold."""
        plain = {**vars(self), "settings": self.settings.model_dump(), "folder": str(self.folder)}
        listed = {key: list(plain[key]) for key in ("overrides", "config_folders")}
        return yaml.safe_dump({**plain, **listed})

    @classmethod
    def from_text(cls, text: str) -> "Job":
        """What `to_text` wrote, checked again."""
        plain = yaml.safe_load(text)
        changed = {"settings": checked("search", plain["settings"]), "folder": Path(plain["folder"])}
        return cls(**{**plain, **changed, **{key: tuple(plain[key]) for key in ("overrides", "config_folders")}})


@dataclass(frozen=True)
class Parts:
    """What a search is made of."""

    space: SearchSpace
    skeleton: Skeleton
    process: SearchProcess
    budget: Budget | None
    device: torch.device
    ranks: Ranks
    steps_per_epoch: int

    def costs(self, genotype: Genotype) -> dict[str, int]:
        """What the network of a genotype costs, counted: each of COSTS."""
        with torch.device("meta"):
            network = self.space.network(genotype, self.skeleton)
        counted = asdict(count(network, self.skeleton.image_shape))
        return {name: counted[name] for name in COSTS}


def parts_of(job: Job, device: torch.device, ranks: Ranks) -> Parts:
    """The parts that the settings name, at their start.

    Raises:
        ValueError: what a person can get wrong in them.
    """
    settings = job.settings
    recipe = recipe_of(settings.trainer)
    if settings.cuda_graphs and device.type != "cuda":
        raise ValueError(f"cuda_graphs=true needs a GPU, and this search runs on {device}: leave it out")
    space: SearchSpace = instantiate(settings.space)
    require_use(space, job.overrides)
    method: SearchMethod = instantiate(settings.method)
    source: DataSource = instantiate(settings.data)
    halves = source.split(source.train())
    skeleton = skeleton_of(settings.network, halves[0])
    limit = settings.trainer.max_steps
    train, valid = (
        feed_of(half, recipe, seed=2 * settings.seed + index, device=device, max_steps=limit, ranks=ranks)
        for index, half in enumerate(halves)
    )
    budget = budget_of(settings.budget, space, skeleton, device, ranks)
    torch.manual_seed(settings.seed)
    process = method.start(space, skeleton, train, valid, recipe, device, ranks, budget)
    return Parts(space, skeleton, process, budget, device, ranks, train.steps)
