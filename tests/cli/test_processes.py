"""The commands as a person runs them: processes, from anywhere."""

import json
import shlex
from pathlib import Path

import pytest

from nas.architecture import Genotype
from tests.cli.commands import TINY, Outcome, call, read_json, shell

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The README's first search with debug=smoke, in a folder that holds nothing of the repository."""
    cwd = tmp_path_factory.mktemp("anywhere")
    return cwd, shell(["-m", "nas.search", "+space=pc_darts", *TINY], cwd=cwd)


def test_a_search_from_anywhere_writes_below_the_folder(first: tuple[Path, Outcome]) -> None:
    cwd, outcome = first
    assert outcome.status == 0, outcome.err
    assert "Traceback" not in outcome.err
    assert "Warning" not in outcome.err.replace("Fontconfig warning", "")
    (run,) = cwd.glob("runs/search/*")
    assert read_json(run / "summary.json")["space"] == "pc_darts"
    assert [path.name for path in cwd.iterdir()] == ["runs"]


def test_what_it_prints_next_is_what_to_type(first: tuple[Path, Outcome]) -> None:
    cwd, outcome = first
    python, *words = shlex.split(outcome.out.splitlines()[-1].removeprefix("next: "))
    assert python == "python"
    assert words[:2] == ["-m", "nas.retrain"]
    following = call("retrain", *words[2:], *TINY, cwd=cwd)
    assert following.status == 0, following.err
    (run,) = cwd.glob("runs/retrain/*")
    assert "test_accuracy" in read_json(run / "summary.json")
    python, *words = shlex.split(following.out.splitlines()[-1].removeprefix("next: "))
    assert words[:2] == ["-m", "nas.report"]
    report = call("report", *words[2:], cwd=cwd)
    assert report.status == 0, report.err
    assert "| retrain | digits | pc_darts | first_order |" in report.out


@pytest.mark.slow
def test_the_next_command_works_to_the_letter(first: tuple[Path, Outcome]) -> None:
    cwd, outcome = first
    following = shell(shlex.split(outcome.out.splitlines()[-1].removeprefix("next: "))[1:], cwd=cwd)
    assert following.status == 0, following.err


def test_a_mistake_is_one_line_and_status_one(tmp_path: Path) -> None:
    outcome = shell(["-m", "nas.search", "+space=pc_dart", "trainer.epoch=3"], cwd=tmp_path)
    assert len(outcome.errors) == 2
    assert outcome.out == ""
    assert not list(tmp_path.iterdir())


def test_a_traceback_is_there_for_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("space=darts", *TINY, "trainer.batch_size=100000")
    assert "trainer.batch_size 100000" in call("search", *words, cwd=tmp_path).error
    monkeypatch.setenv("NAS_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="batch_size 100000"):
        call("search", *words, cwd=tmp_path)


@pytest.mark.parametrize("command", ["search", "retrain", "cost", "draw", "report"])
def test_help_helps(command: str, tmp_path: Path) -> None:
    outcome = call(command, "--help", cwd=tmp_path)
    assert outcome.status == 0
    words = {"report": "mean ± standard deviation", "search": "pc_darts", "retrain": "digits"}
    assert words.get(command, "genotype") in outcome.out
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_person_s_own_space_needs_no_edit_here(tmp_path: Path) -> None:
    """The example of docs/extending.md, found in the folder where the command runs; its costs by hand."""
    page = (REPOSITORY / "docs" / "extending.md").read_text()
    code = page.split("```python\n", 1)[1].split("```", 1)[0]
    assert "def my_space" in code
    (tmp_path / "my_package.py").write_text(code)
    (tmp_path / "conf" / "space").mkdir(parents=True)
    (tmp_path / "conf" / "space" / "my_space.yaml").write_text("_target_: my_package.my_space\n")
    genotype = Genotype("my_space", {}, {"stem/op": "5x5", "act/op": "tanh"})
    (tmp_path / "genotype.json").write_text(genotype.to_json())
    words = ["--config-dir", "conf", "+space=my_space", "genotype=genotype.json", "input_shape=[1,8,8]"]
    cost = shell(["-m", "nas.cost", *words], cwd=tmp_path)
    assert cost.status == 0, cost.err
    params = 16 * 25 + 16 + 16 * 10 + 10
    expected = {"params": params, "macs": 64 * 16 * 25 + 16 * 10, "memory_bytes": 4 * params}
    assert json.loads(cost.out.splitlines()[-1]).items() >= expected.items()
