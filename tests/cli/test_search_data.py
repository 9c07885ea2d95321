"""Searches and retrainings on a person's own data; the test set is never seen by a search."""

from pathlib import Path

import pytest

from nas.data import CustomDataset, DataSource, Digits, ImageFolder, Npz
from tests.cli.commands import SMALL_CELL, TINY, call, read_json, succeed
from tests.cli.datasets import custom, image_folder, npz

SEARCH = ("space=darts", *TINY, *SMALL_CELL)


def words(kind: str, folder: Path) -> list[str]:
    """The words that name a data set which this test has made."""
    made = {
        "custom": custom,
        "npz": lambda: npz(folder / "pack.npz"),
        "image_folder": lambda: image_folder(folder / "images"),
    }
    return made[kind]()


@pytest.mark.parametrize(
    ("kind", "classes", "shape"),
    [("custom", 2, (1, 8, 8)), ("npz", 3, (3, 8, 8)), ("image_folder", 2, (3, 16, 16))],
)
def test_own_data_are_searched_and_retrained(
    kind: str, classes: int, shape: tuple[int, ...], tmp_path: Path, searched_sizes: list[tuple[int, tuple[int, ...]]]
) -> None:
    data = words(kind, tmp_path)
    succeed("search", *SEARCH, *data, "hydra.run.dir=run", cwd=tmp_path)
    succeed("retrain", "genotype=run", *TINY, *data, "hydra.run.dir=retrained", cwd=tmp_path)
    assert searched_sizes == [(classes, shape), (classes, shape)]
    assert 0 <= read_json(tmp_path / "retrained" / "summary.json")["test_accuracy"] <= 1


@pytest.fixture
def searched_sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, tuple[int, ...]]]:
    """(classes, image shape) of all data that a command builds a network for."""
    import nas.cli.search_job
    import nas.retrain

    seen = []

    def note(skeleton_of):
        def noted(network, samples, **more):
            seen.append((samples.num_classes, samples.shape))
            return skeleton_of(network, samples, **more)

        return noted

    for command in (nas.cli.search_job, nas.retrain):
        monkeypatch.setattr(command, "skeleton_of", note(command.skeleton_of))
    return seen


def test_a_search_never_touches_the_test_set_of_a_person(tmp_path: Path) -> None:
    succeed("search", *SEARCH, *custom(test="Poison"), "hydra.run.dir=run", cwd=tmp_path)
    with pytest.raises(AssertionError, match="somebody looked"):
        call("retrain", "genotype=run", *TINY, *custom(test="Poison"), cwd=tmp_path)


@pytest.mark.parametrize("method", ["first_order", "second_order", "single_level", "random"])
def test_no_method_asks_for_the_test_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    def refuse(source: DataSource) -> None:
        raise AssertionError("a search asked for the test set")

    for source in (Digits, Npz, CustomDataset, ImageFolder):
        monkeypatch.setattr(source, "test", refuse)
    read = Digits.read
    monkeypatch.setattr(Digits, "read", lambda self, part: read(self, part) if part == "train" else refuse(self))
    succeed("search", *SEARCH, f"method={method}", "hydra.run.dir=run", cwd=tmp_path)
    with pytest.raises(AssertionError, match="asked for the test set"):
        call("retrain", "genotype=run", *TINY, cwd=tmp_path)


def test_a_search_sees_both_halves_and_a_retraining_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 1,437 training images of digits."""
    import nas.cli.search_job
    import nas.retrain

    sizes = []

    def note(feed_of):
        def noted(samples, *arguments, **more):
            sizes.append(len(samples))
            return feed_of(samples, *arguments, **more)

        return noted

    for command in (nas.cli.search_job, nas.retrain):
        monkeypatch.setattr(command, "feed_of", note(command.feed_of))
    succeed("search", *SEARCH, "hydra.run.dir=run", cwd=tmp_path)
    succeed("retrain", "genotype=run", *TINY, cwd=tmp_path)
    assert sizes == [718, 719, 1437]
