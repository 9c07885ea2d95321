"""What the keys of each command mean: types and bounds; defaults are in `conf/` alone."""

from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    model_validator,
)
from pydantic import PositiveInt as Count

from nas.cli.amounts import Amount, amount
from nas.cli.arguments import options
from nas.cli.devices import require_devices
from nas.cli.signals import STOPPING
from nas.cli.signatures import located
from nas.parallel import Ranks


def _part(value: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value.get("_target_"), str):
        raise ValueError(f"{value!r} is no part: it needs a _target_ that names a class")
    return value


def _space(value: Any) -> Any:
    if value is None:
        raise ValueError(f"there is no search space: add +space=NAME, one of {', '.join(options('space', []))}")
    return value


def _named_space(value: Any) -> Any:
    """What follows `space.` without a space of a name is a dict that names no class."""
    if isinstance(value, dict) and value and "_target_" not in value:
        keys = ", ".join(f"space.{key}" for key in value)
        raise ValueError(f"{keys} is given without a space; add +space=NAME, the one of the genotype")
    return value


def _stop_signal(name: str) -> str:
    if name not in STOPPING:
        raise ValueError(
            f"trainer.stop_signals has {name!r}, which is none of those that can end a run in good order: "
            f"{', '.join(STOPPING)}"
        )
    return name


Part = Annotated[dict[str, Any], AfterValidator(_part)]
Space = Annotated[Part, BeforeValidator(_space)]
GenotypeSpace = Annotated[Part | None, BeforeValidator(_named_space)]


def _shares_batches(method: dict[str, Any]) -> bool:
    """Unless its class says no; a class that cannot be found is told of with the other parts."""
    with suppress(ValueError):
        return bool(getattr(located(method["_target_"]), "shares_batches", True))
    return True


class Settings(BaseModel):
    """A group of keys; unknown ones are mistakes."""

    model_config = ConfigDict(extra="forbid")


class Network(Settings):
    channels: Count
    cells: Count
    stem: Literal["cifar", "imagenet"]
    num_classes: Count | None


class DiscreteNetwork(Network):
    auxiliary: bool


class Trainer(Settings):
    epochs: Count
    batch_size: Count
    optimizer: Part
    schedule: Part
    clip_norm: PositiveFloat | None
    cutout: NonNegativeInt
    precision: Literal["float32", "bf16"]
    max_steps: Count | None
    checkpoint_steps: Count | None
    stop_signals: list[Annotated[str, AfterValidator(_stop_signal)]]
    on_nan: Literal["stop", "skip", "rollback"]


class SearchTrainer(Trainer):
    arch_rate: PositiveFloat
    arch_warmup: Annotated[float, Field(ge=0, lt=1)]
    devices: Count
    sync_batch_norm: bool

    @model_validator(mode="after")
    def _divisible(self) -> "SearchTrainer":
        Ranks(0, self.devices).rows(self.batch_size)
        if self.sync_batch_norm and self.devices == 1:
            raise ValueError(
                "trainer.sync_batch_norm is true, but trainer.devices is 1, which has nothing to synchronize; "
                "give trainer.devices=2 or more, or leave it out"
            )
        return self


class RetrainTrainer(Trainer):
    drop_path: Annotated[float, Field(ge=0, lt=1)]
    auxiliary_weight: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, le=1)]


class Budget(Settings):
    params: Any
    macs: Any
    bops: Any
    memory: Any
    latency: Any
    latency_table: str
    latency_batch: Count
    latency_anywhere: bool
    hard: bool
    loss: Part

    def asked(self) -> tuple[str, Amount] | None:
        """The one cost that is limited and how much it may be, or None."""
        given = {kind: value for kind in COSTS if (value := getattr(self, kind)) is not None}
        if len(given) > 1:
            words = " and ".join(f"budget.{kind}={value}" for kind, value in given.items())
            raise ValueError(f"a search has one budget, but it was given {words}; leave one of them out")
        return next(((kind, amount(f"budget.{kind}", value)) for kind, value in given.items()), None)

    @model_validator(mode="after")
    def _has_an_amount(self) -> "Budget":
        if self.asked() is None and self.hard:
            raise ValueError(f"budget.hard is true, but there is no budget; give one of {_AMOUNTS}, such as 0.25x")
        return self


COSTS = ("params", "macs", "bops", "memory", "latency")
"""What a budget can limit."""

_AMOUNTS = ", ".join(f"budget.{kind}" for kind in COSTS)


class Search(Settings):
    resume: bool
    seed: NonNegativeInt
    device: str
    threads: Count | None
    compile: bool
    cuda_graphs: bool
    space: Space = Field(default=None, validate_default=True)
    method: Part
    data: Part
    network: Network
    trainer: SearchTrainer
    budget: Budget

    @model_validator(mode="after")
    def _has_devices(self) -> "Search":
        devices = self.trainer.devices
        require_devices(self.device, devices)
        if devices > 1 and not _shares_batches(self.method):
            raise ValueError(
                f"method {self.method.get('name')!r} runs on one device, but trainer.devices is {devices}; "
                "give trainer.devices=1, or several seeds at a time by -m hydra.launcher.n_jobs=N"
            )
        for key in ("compile", "cuda_graphs"):
            if devices > 1 and getattr(self, key):
                raise ValueError(
                    f"{key}=true runs on one device, but trainer.devices is {devices}; leave one of them out"
                )
        if self.cuda_graphs and self.trainer.on_nan == "skip":
            raise ValueError(
                "trainer.on_nan=skip looks into every step, and cuda_graphs=true replays whole steps; "
                "give trainer.on_nan=rollback, or leave one of them out"
            )
        return self


class Retrain(Settings):
    genotype: str
    init: Literal["scratch", "inherit"]
    resume: bool
    seed: NonNegativeInt
    device: str
    threads: Count | None
    space: GenotypeSpace = None
    data: Part
    network: DiscreteNetwork
    trainer: RetrainTrainer


class Cost(Settings):
    genotype: str
    space: GenotypeSpace = None
    network: DiscreteNetwork
    input_shape: Annotated[list[Count], Field(min_length=3, max_length=3)] | None


class Draw(Settings):
    genotype: str
    space: GenotypeSpace = None
    output: str | None


class Export(Settings):
    genotype: str
    format: Part
    space: GenotypeSpace = None
    output: str | None
    tolerance: PositiveFloat


SETTINGS: dict[str, type[Settings]] = {
    "search": Search,
    "retrain": Retrain,
    "cost": Cost,
    "draw": Draw,
    "export": Export,
}
"""The schema of each command, by the name of its config."""
