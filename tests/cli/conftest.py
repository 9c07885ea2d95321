"""Runs that several tests look at."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import Outcome, succeed

Searched = Callable[[str], tuple[Path, Outcome]]


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """The smoke search of a space, made when first asked for: its directory, `run`, and what it said."""

    @functools.cache
    def search(space: str) -> tuple[Path, Outcome]:
        cwd = tmp_path_factory.mktemp(space)
        return cwd / "run", succeed("search", f"+space={space}", "debug=smoke", "hydra.run.dir=run", cwd=cwd)

    return search


@pytest.fixture(scope="session", params=["darts", "pc_darts"])
def run(request: pytest.FixtureRequest, searched: Searched) -> Path:
    """The run directory of a smoke search."""
    return searched(request.param)[0]


@pytest.fixture(scope="session")
def pc_darts_run(searched: Searched) -> Path:
    """The run directory of the smoke search of PC-DARTS."""
    return searched("pc_darts")[0]


@pytest.fixture(scope="session")
def retrained(pc_darts_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The run directory of a smoke retraining of that search, and what it said."""
    cwd = tmp_path_factory.mktemp("retrained")
    words = (f"genotype={pc_darts_run}", "debug=smoke", "hydra.run.dir=run")
    return cwd / "run", succeed("retrain", *words, cwd=cwd)
