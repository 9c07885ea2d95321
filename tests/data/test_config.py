"""Every option of `data=` builds its source."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from torch.utils.data import Dataset

import nas.data
from nas.data import DataSource

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))
TWICE = [f"data.{part}={{_target_: {__name__}.Two}}" for part in ("train", "test")]
# What a user has to say, by the class that an option names.
NEEDED = {"Npz": ["data.root=a"], "ImageFolder": ["data.root=a"], "CustomDataset": TWICE}


class Two(Dataset[Any]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return torch.full((1, 4, 4), float(index)), index


def composed(name: str, *overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=[f"+data={name}", *overrides]).data


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_complete_and_builds(name: str) -> None:
    kind = get_class(composed(name)._target_)
    config = composed(name, *NEEDED.get(kind.__name__, []))
    parameters = kind.__init__.__annotations__.keys() - {"return"}
    assert config.keys() - {"_target_"} == parameters
    assert "root" in parameters
    source = instantiate(config)
    assert issubclass(kind, DataSource)
    assert source.cutout == config.cutout
    assert type(source.split).__name__ in nas.data.__all__


def test_a_custom_data_set_is_read() -> None:
    source = instantiate(composed("custom", *TWICE))
    assert source.train().images[:, 0, 0, 0].tolist() == [0.0, 1.0]
    assert source.train().statistics.mean == (0.5,)


def test_digits_have_the_statistics_of_their_training_images() -> None:
    stated = instantiate(composed("digits")).train()
    measured = instantiate(composed("digits", "data.mean=null", "data.std=null")).train()
    assert stated.statistics.mean == pytest.approx(measured.statistics.mean, abs=1e-6)
    assert stated.statistics.std == pytest.approx(measured.statistics.std, abs=1e-6)
