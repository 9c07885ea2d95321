"""Every YAML of conf/ composes, is valid and builds its parts; the papers' constants; the keys that never change."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from nas.cli.arguments import normalized
from nas.cli.mistakes import checked
from nas.data import DataSource
from nas.exporting import FileFormat
from nas.optimization import SearchMethod
from nas.optimization.schedule import Schedule
from nas.space import SearchSpace
from tests.cli.commands import CONF
from tests.cli.datasets import custom

FILES = sorted(str(path.relative_to(CONF)) for path in CONF.rglob("*.yaml"))
NEEDED = {
    "npz": ["data.root=a"],
    "image_folder": ["data.root=a"],
    "imagenet_search": ["data.root=a"],
    "custom": custom(),
}
"""What a person has to say beside the name of a data set."""


def options(group: str) -> list[str]:
    """The options of a group."""
    return [Path(name).stem for name in FILES if name.startswith(f"{group}/")]


def composed(command: str, *words: str) -> dict[str, Any]:
    """The config of a command line, validated, as plain data."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = OmegaConf.to_container(compose(command, overrides=normalized(words)), resolve=True)
    checked(command, config)
    assert isinstance(config, dict)
    return config


def builds(config: dict[str, Any], built: list[Any]) -> None:
    """Every part of a config can be made, or is one of those `built`, to which it is added; no data are read."""
    kinds = {"space": SearchSpace, "method": SearchMethod, "data": DataSource, "format": FileFormat}
    for name in kinds.keys() & config.keys():
        if config[name] is not None and config[name] not in built:
            assert isinstance(instantiate(config[name]), kinds[name]), name
            built.append(config[name])
    if "trainer" in config:
        assert isinstance(instantiate(config["trainer"]["schedule"]), Schedule)
        assert callable(instantiate(config["trainer"]["optimizer"]))


def words_of(file: str) -> list[tuple[str, ...]]:
    """The command lines (command, words...) that read a file of conf/."""
    group, _, name = file.removesuffix(".yaml").rpartition("/")
    given = {"search": ("space=darts",), "retrain": ("genotype=DARTS_V2",)}
    if group == "experiment":
        folder = ("data.root=a",)
        return (
            [("retrain", *given["retrain"], f"+experiment={name}", *folder)]
            if name.startswith("retrain_")
            else [("search", f"+experiment={name}", *folder)]
        )
    if group == "data":
        return [(command, *words, f"data={name}", *NEEDED.get(name, [])) for command, words in given.items()]
    if group == "budget":
        line = ["budget.loss.line=[[1,2],[2,1]]"] if name == "homogeneous_line" else []
        return [("search", *given["search"], f"budget={name}", "budget.bops=0.5x", *line)]
    if group == "method":
        return [("search", *given["search"], f"method={name}")]
    if group == "space":
        return [("search", f"+space={name}"), ("retrain", "genotype=DARTS_V2", f"+space={name}")]
    if group == "schedule":
        return [(command, *words, f"schedule@trainer.schedule={name}") for command, words in given.items()]
    if group == "format":
        return [("export", "genotype=DARTS_V2", f"format={name}")]
    if group == "hydra/launcher":
        return [("search", *given["search"], f"hydra/launcher={name}"), ("cost", "genotype=DARTS_V2")]
    if group == "debug":
        return [(command, *words, f"debug={name}") for command, words in given.items()]
    if group == "debug/of_method":
        debug, _, method = name.partition("_")
        return [("search", *given["search"], f"debug={debug}", f"method={method}")]
    assert group == "", f"a folder of conf/ without a test: {group}"
    if name in ("run_directory", "no_run_directory"):
        return words_of("search.yaml" if name == "run_directory" else "cost.yaml")
    return [(name, *given.get(name, ("genotype=DARTS_V2",)))]


@pytest.mark.parametrize("file", FILES)
def test_every_file_composes_and_builds(file: str) -> None:
    built: list[Any] = []
    for command, *words in words_of(file):
        builds(composed(command, *words), built)


@pytest.mark.parametrize(
    "space",
    [name if name == "darts" else pytest.param(name, marks=pytest.mark.slow) for name in options("space")],
)
def test_every_command_that_follows_a_search_takes_a_space(space: str) -> None:
    built: list[Any] = []
    for command in ("cost", "draw", "export"):
        builds(composed(command, "genotype=DARTS_V2", f"+space={space}"), built)


def test_smoke_gives_each_homogeneous_candidate_an_epoch() -> None:
    words = ("space=pc_darts", "method=homogeneous")
    assert composed("search", *words)["method"]["candidates"] is None
    smoke = composed("search", *words, "debug=smoke")
    assert smoke["method"]["candidates"] == smoke["trainer"]["epochs"] == 2


def test_an_experiment_of_a_command_is_not_one_of_the_other() -> None:
    assert {name for name in options("experiment") if not name.startswith("retrain_")} == {
        "darts_cifar10",
        "pc_darts_cifar10",
        "pc_darts_imagenet",
    }


SGD = {"_target_": "torch.optim.SGD", "momentum": 0.9, "weight_decay": 3e-4}
SEARCHES: dict[str, dict[str, Any]] = {
    # specs/darts.md, 1.2
    "darts_cifar10": {
        "space.partial_channels": 1,
        "space.edge_normalization": False,
        "data.name": "cifar10",
        "trainer.batch_size": 64,
        "trainer.optimizer.lr": 0.025,
        "trainer.schedule.final_rate": 0.001,
        "trainer.schedule.warmup_epochs": 0,
        "trainer.arch_rate": 3e-4,
        "trainer.arch_warmup": 0,
        "network.stem": "cifar",
    },
    # specs/darts.md, 2.1
    "pc_darts_cifar10": {
        "space.partial_channels": 4,
        "space.edge_normalization": True,
        "data.name": "cifar10",
        "trainer.batch_size": 256,
        "trainer.optimizer.lr": 0.1,
        "trainer.schedule.final_rate": 0,
        "trainer.schedule.warmup_epochs": 0,
        "trainer.arch_rate": 6e-4,
        "trainer.arch_warmup": 15 / 50,
        "network.stem": "cifar",
    },
    "pc_darts_imagenet": {
        "space.partial_channels": 2,
        "space.edge_normalization": True,
        "data.split.train": 0.1,
        "data.split.valid": 0.025,
        "data.size": 224,
        "trainer.batch_size": 1024,
        "trainer.optimizer.lr": 0.5,
        "trainer.schedule.final_rate": 0,
        "trainer.schedule.warmup_epochs": 5,
        "trainer.arch_rate": 6e-3,
        "trainer.arch_warmup": 35 / 50,
        "network.stem": "imagenet",
    },
}
IN_EVERY_SEARCH = {
    "trainer.epochs": 50,
    "trainer.clip_norm": 5,
    "trainer.cutout": 0,
    "trainer.schedule._target_": "nas.optimization.Cosine",
    "network.channels": 16,
    "network.cells": 8,
    "method.name": "first_order",
    "method.arch_optimizer._target_": "torch.optim.Adam",
    "method.arch_optimizer.betas": [0.5, 0.999],
    "method.arch_optimizer.weight_decay": 1e-3,
    "method.alpha_scale": 1e-3,
    "space.num_nodes": 4,
    "space.inputs_per_node": 2,
    **{f"trainer.optimizer.{key}": value for key, value in SGD.items()},
}
CIFAR = {
    "data.name": "cifar10",
    "data.cutout": 16,
    "data.padding": 4,
    "data.flip": True,
    "trainer.epochs": 600,
    "trainer.batch_size": 96,
    "trainer.optimizer.lr": 0.025,
    "trainer.optimizer.weight_decay": 3e-4,
    "trainer.schedule._target_": "nas.optimization.Cosine",
    "trainer.schedule.final_rate": 0,
    "trainer.cutout": 16,
    "trainer.label_smoothing": 0,
    "network.channels": 36,
    "network.cells": 20,
    "network.stem": "cifar",
}
IMAGENET = {
    "data.size": 224,
    "trainer.epochs": 250,
    "trainer.optimizer.weight_decay": 3e-5,
    "trainer.cutout": 0,
    "trainer.label_smoothing": 0.1,
    "trainer.drop_path": 0,
    "network.channels": 48,
    "network.cells": 14,
    "network.stem": "imagenet",
}
RETRAININGS: dict[str, dict[str, Any]] = {
    # specs/darts.md, 1.5
    "retrain_darts_cifar10": {**CIFAR, "trainer.drop_path": 0.2},
    "retrain_darts_imagenet": {
        **IMAGENET,
        "trainer.batch_size": 128,
        "trainer.optimizer.lr": 0.1,
        "trainer.schedule._target_": "nas.optimization.Exponential",
        "trainer.schedule.factor": 0.97,
    },
    # specs/darts.md, 2.1
    "retrain_pc_darts_cifar10": {**CIFAR, "trainer.drop_path": 0.3},
    "retrain_pc_darts_imagenet": {
        **IMAGENET,
        "trainer.batch_size": 1024,
        "trainer.optimizer.lr": 0.5,
        "trainer.schedule._target_": "nas.optimization.Linear",
        "trainer.schedule.tail_epochs": 5,
        "trainer.schedule.warmup_epochs": 5,
    },
}
IN_EVERY_RETRAINING = {
    "trainer.optimizer._target_": "torch.optim.SGD",
    "trainer.optimizer.momentum": 0.9,
    "trainer.clip_norm": 5,
    "trainer.auxiliary_weight": 0.4,
    "network.auxiliary": True,
}


def at(config: Any, key: str) -> Any:
    """The value at a dotted key."""
    for part in key.split("."):
        config = config[part]
    return config


def test_every_experiment_is_compared_with_its_paper() -> None:
    assert {*SEARCHES, *RETRAININGS} == set(options("experiment"))


@pytest.mark.parametrize("name", [*SEARCHES, *RETRAININGS])
def test_an_experiment_has_the_constants_of_its_paper(name: str) -> None:
    (words,) = words_of(f"experiment/{name}.yaml")
    config = composed(*words)
    expected = (
        {**IN_EVERY_SEARCH, **SEARCHES[name]} if name in SEARCHES else {**IN_EVERY_RETRAINING, **RETRAININGS[name]}
    )
    assert {key: at(config, key) for key in expected} == expected


def test_the_constants_of_the_methods_are_the_authors() -> None:
    """Also where no experiment is named: Adam's betas and decay, the alphas' start, epsilon of the second order."""
    for name in ("first_order", "second_order", "single_level"):
        method = composed("search", "space=darts", f"method={name}")["method"]
        adam = method["arch_optimizer"]
        assert (adam["betas"], adam["weight_decay"], method["alpha_scale"]) == ([0.5, 0.999], 1e-3, 1e-3)
    assert composed("search", "space=darts", "method=second_order")["method"]["bilevel"]["epsilon"] == 0.01


PUBLIC: dict[str, dict[str, str]] = {
    "search": {
        "resume": "true",
        "seed": "3",
        "device": "cpu",
        "method": "random",
        "budget": "penalty",
        "budget.params": "0.25x",
        "budget.macs": "12000000.0",
        "budget.bops": "0.5x",
        "budget.memory": "any",
        "budget.latency": "0.001",
        "budget.latency_table": "somewhere.json",
        "budget.latency_batch": "16",
        "budget.latency_anywhere": "true",
        "budget.hard": "true",
        "data": "mnist",
        "data.root": "somewhere",
        "trainer.epochs": "3",
        "trainer.batch_size": "5",
        "network.channels": "12",
        "network.cells": "7",
        "network.stem": "imagenet",
        "network.num_classes": "11",
        "debug": "smoke",
        "hydra.run.dir": "somewhere",
    },
    "retrain": {
        "init": "inherit",
        "resume": "true",
        "seed": "3",
        "device": "cpu",
        "data": "mnist",
        "data.root": "somewhere",
        "trainer.epochs": "3",
        "trainer.batch_size": "5",
        "network.channels": "12",
        "network.cells": "7",
        "network.stem": "imagenet",
        "network.num_classes": "11",
        "network.auxiliary": "false",
        "debug": "smoke",
        "hydra.run.dir": "somewhere",
    },
    "cost": {
        "network.channels": "12",
        "network.cells": "7",
        "network.stem": "imagenet",
        "network.num_classes": "11",
        "network.auxiliary": "true",
    },
    "draw": {},
    "export": {"format": "pt2"},
}
"""The public keys of each command. They are a promise: a change here breaks what people wrote down."""


@pytest.mark.parametrize("command", ["search", "retrain", "cost", "export"])
def test_the_public_keys_are_there_and_take_their_values(command: str) -> None:
    given = "space=darts" if command == "search" else "genotype=DARTS_V2"
    words = [f"{key}={value}" for key, value in PUBLIC[command].items()]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        before = compose(command, overrides=[given], return_hydra_config=True)
        # without ++: a key that was not there would be refused
        after = compose(command, overrides=[given, *words], return_hydra_config=True)
    for key in PUBLIC[command].keys() - {"method", "budget", "data", "format", "debug"}:
        assert str(OmegaConf.select(after, key)).lower() == PUBLIC[command][key]
        assert OmegaConf.select(before, key, throw_on_missing=False) != OmegaConf.select(after, key)
    if command == "export":
        assert (before.format["_target_"], after.format["_target_"]) == ("nas.exporting.Onnx", "nas.exporting.Pt2")
    if command in ("search", "retrain"):
        assert after.data.name == "mnist"
        assert after.trainer.max_steps == 2
    if command == "search":
        assert after.method.name == "random"
        assert after.budget.loss._target_ == "nas.optimization.Penalty"
    further_amounts = tuple(f"budget.{kind}=" for kind in ("params", "macs", "memory", "latency"))  # one at a time
    composed(command, given, *(word for word in words if not word.startswith(further_amounts)))


def test_no_other_key_of_these_names_is_public() -> None:
    """What a command does not have is not public there: `cost` and `draw` take no seed, only `search` a method."""
    for command, keys in PUBLIC.items():
        given = "space=darts" if command == "search" else "genotype=DARTS_V2"
        config = composed(command, given)
        for key in {key for others in PUBLIC.values() for key in others} - keys.keys() - {"hydra.run.dir", "debug"}:
            assert OmegaConf.select(OmegaConf.create(config), key) is None, (command, key)


def test_smoke_is_seconds() -> None:
    for command, given in (("search", "space=darts"), ("retrain", "genotype=DARTS_V2")):
        config = composed(command, given, "debug=smoke")
        assert config["trainer"]["epochs"] * config["trainer"]["max_steps"] * config["trainer"]["batch_size"] <= 64
        assert config["network"]["channels"] * config["network"]["cells"] <= 16
