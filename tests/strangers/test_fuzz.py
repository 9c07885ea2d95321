"""Every reader takes a damaged file or refuses it in one line: a few hundred cases of `experiments.faults.fuzz`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from experiments.faults.damaged_cases import Cases, composing, folder_of_a_case
from experiments.faults.fuzz import main
from experiments.faults.kinds import KINDS
from experiments.faults.value_mutations import nested
from experiments.faults.watch import Outcome, watched

SECONDS = 20.0
FEW = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
HEADS: dict[str, dict[str, Any]] = {
    "genotype of cells": {"format": "nas-genotype", "version": 1, "space": "darts", "settings": {}, "decisions": {}},
    "latency table": {"format": "nas-latency", "version": 1, "device": "a", "torch_version": "2", "threads": 1},
    "summary of a run": {"format": "nas-summary", "version": 1, "status": "finished", "command": "search"},
    "candidates of a run": {"name": "random 0", "epochs": 1, "costs": {}, "genotype": {}},
}
"""How files of JSON begin, so that what follows is looked at."""
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)

MARKS = {f"config ({group})": pytest.mark.slow for group in ("method", "data", "experiment")}
"""Configs take longest to read, and those of one group stand for all."""

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow and torch warn of some files, which is no error


@pytest.fixture(scope="module", autouse=True)
def configs() -> Iterator[None]:
    """The shipped configs, as in a command."""
    with composing():
        yield


@pytest.fixture(scope="module")
def cases() -> dict[str, Cases]:
    """The cases of all kinds."""
    others = [original for kind in KINDS.values() for original in kind.originals()]
    return {name: Cases(name, kind, others) for name, kind in KINDS.items()}


def test_every_original_is_read(cases: dict[str, Cases]) -> None:
    for name, found in cases.items():
        with folder_of_a_case() as folder:
            assert found.original(folder, SECONDS).end == "accepted", name


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in KINDS])
@FEW
@given(number=st.integers(0, 2**32))
def test_a_damaged_file_is_read_or_refused_in_one_line(name: str, number: int, cases: dict[str, Cases]) -> None:
    with folder_of_a_case() as folder:
        require_told(cases[name].run(number, folder, SECONDS))


@pytest.mark.parametrize("name", HEADS)
@FEW
@given(
    changes=st.dictionaries(
        st.sampled_from(["settings", "decisions", "seconds", "setting", "genotype", "costs", "epochs", "version", "a"]),
        VALUES,
        max_size=4,
    )
)
@example(changes={"settings": {"a": nested(200)}, "decisions": nested(70)})
def test_json_with_the_right_head_is_read_or_refused_in_one_line(name: str, changes: dict[str, Any]) -> None:
    kind = KINDS[name]
    with folder_of_a_case() as folder:
        (folder / kind.path).write_text(json.dumps({**HEADS[name], **changes}) + "\n")
        require_told(watched(kind.read, folder, SECONDS))


@FEW
@given(
    text=st.text()
    | st.builds(
        "Genotype(normal={}, normal_concat={}, reduce={}, reduce_concat={})".format,
        *4 * [VALUES | st.sampled_from(["range(2, 6)", "range(10**9)", "[('none', 0)] * 9", "f()", "(" * 300])],
    )
)
def test_text_is_a_genotype_or_refused_in_one_line(text: str) -> None:
    kind = KINDS["genotype in the authors' form"]
    with folder_of_a_case() as folder:
        (folder / kind.path).write_bytes(text.encode(errors="surrogatepass"))
        require_told(watched(kind.read, folder, SECONDS))


@pytest.mark.slow
def test_the_command_writes_its_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--cases", "100", "--seed", "3", "--out", str(tmp_path)]) == 0
    table = (tmp_path / "fuzz.md").read_text()
    assert capfd.readouterr().out.startswith(table)
    *kinds, total = [line.split(" | ") for line in table.splitlines()[2:]]
    assert len(kinds) == len(KINDS)
    assert int(total[1]) == sum(int(row[1]) for row in kinds) >= 100
    assert (tmp_path / "fuzz.csv").read_text().count("\n") == len(KINDS) + 2


def require_told(outcome: Outcome) -> None:
    """The file was read, or refused in one line."""
    assert outcome.end in ("accepted", "refused"), outcome
