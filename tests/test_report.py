import csv
import subprocess
import sys

import pytest

from nas import report
from nas.architecture import CandidateRecord, Genotype
from nas.cli.accuracy_cost import data_names
from nas.tracking import Candidate, append_candidate
from tests.tracking.fabricated import RETRAIN, SEARCH, failed_run, run


@pytest.fixture
def drawn(monkeypatch):
    """What `scatter` was asked to draw: a list of (points, labels)."""
    import nas.rendering

    calls = []
    scatter = nas.rendering.scatter

    def record(points, **labels):
        calls.append((list(points), labels))
        return scatter(points, **labels)

    monkeypatch.setattr(nas.rendering, "scatter", record)
    return calls


@pytest.fixture
def sweep(tmp_path):
    """Two methods of two seeds each, and a failed run."""
    folder = tmp_path / "sweep"
    for method, accuracies, macs in (("first_order", (0.5, 0.75), 4_000), ("random", (0.25, 0.5), 1_000)):
        for seed, accuracy in enumerate(accuracies):
            metrics = {**SEARCH, "valid_accuracy": accuracy}
            run(folder / f"{method}{seed}", method=method, setting=[], seed=seed, metrics=metrics, macs=macs)
    failed_run(folder / "failed")
    return folder


def test_a_sweep_gets_its_table_and_picture(sweep, drawn, capsys):
    assert report.main([str(sweep)]) == 0
    printed = capsys.readouterr()
    assert printed.out == (sweep / "summary.md").read_text()
    assert "| search | darts | first_order | 0, 1 | 62.50 ± 17.68 | 1,000 | 4,000 | 12.5 |" in printed.out
    assert f"- `{sweep}/failed`: unfinished" in printed.out
    assert printed.err == f"wrote summary.md, summary.csv and accuracy_cost.png into {sweep}\n"
    rows = list(csv.DictReader((sweep / "summary.csv").read_text().splitlines()))
    assert [(row["method"], row["status"]) for row in rows] == [
        ("first_order", "finished"),
        ("random", "finished"),
        ("", "left out"),
    ]
    assert (sweep / "accuracy_cost.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    ((first, second), labels), *more = drawn
    assert not more
    assert (first.group, first.x, first.y) == ("first_order", 4000.0, 62.5)
    assert (second.group, second.x, second.y) == ("random", 1000.0, 37.5)
    assert first.y_error == second.y_error == pytest.approx(100 * 0.125 * 2**0.5)
    assert labels["x_label"] == "MACs"


def test_labels_say_what_the_rows_do_not_share(tmp_path, drawn):
    run(tmp_path / "0", setting=["space=darts", "method.tau=1"])
    run(tmp_path / "1", setting=["space=darts", "method.tau=5"])
    run(tmp_path / "2", setting=["space=darts"], command="retrain", metrics=RETRAIN)
    assert report.main([str(tmp_path)]) == 0
    assert [point.group for point in drawn[0][0]] == [
        "first_order retrain test",
        "first_order search supernet validation method.tau=1",
        "first_order search supernet validation method.tau=5",
    ]
    assert [point.y_error for point in drawn[0][0]] == [None, None, None]
    assert [point.measure for point in drawn[0][0]] == ["test", "supernet validation", "supernet validation"]


def test_out_is_made_and_used(sweep, tmp_path):
    assert report.main([str(sweep), "--out", str(tmp_path / "new" / "folder")]) == 0
    names = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert names == ["accuracy_cost.png", "summary.csv", "summary.md"]
    assert not (sweep / "summary.md").exists()


def test_single_runs_are_reported_into_the_current_folder(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert report.main([str(sweep / "random0"), str(sweep / "random1")]) == 0
    assert (tmp_path / "summary.csv").is_file()
    assert not (sweep / "random0" / "summary.csv").exists()


def error(arguments, capsys) -> str:
    assert report.main([str(argument) for argument in arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_a_missing_folder(tmp_path, sweep, capsys):
    assert f"there is no folder {tmp_path / 'typo'}" in error([sweep, tmp_path / "typo"], capsys)


def test_no_runs_at_all(tmp_path, capsys):
    assert f"no finished run in {tmp_path}; 0 unfinished" in error([tmp_path], capsys)


def test_only_failed_runs(tmp_path, capsys):
    failed_run(tmp_path / "0")
    message = error([tmp_path], capsys)
    assert f"1 unfinished or unreadable: {tmp_path / '0'}: unfinished or failed: no summary.json" in message


def test_an_out_that_cannot_be_made(sweep, capsys):
    (sweep / "file").write_text("")
    assert "file" in error([sweep, "--out", sweep / "file"], capsys)


def test_the_command_line(tmp_path):
    command = [sys.executable, "-m", "nas.report", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"error: there is no folder {tmp_path / 'none'}: give the output folder of a run or of a sweep\n"
    )


# networks that baselines trained


CELLS = Genotype("darts", {}, {"normal/2": [["sep_conv_3x3", 0]]})


def candidate(name: str, accuracy: float, macs: int, *, genotype: Genotype = CELLS, **costs: float) -> Candidate:
    record = CandidateRecord(name, genotype, 2, 0.5, 0.5, 1.0, accuracy)
    return Candidate(record, {"params": macs // 10, "macs": macs, **costs})


@pytest.fixture
def baselines(sweep):
    """The sweep, with a homogeneous baseline of two seeds and a random one: 3 networks and 1."""
    genotypes = [Genotype("darts", {}, {"normal/2": [[name, 0]]}) for name in ("skip", "sep")]
    for seed in (0, 1):
        folder = run(sweep / f"homogeneous{seed}", method="homogeneous", setting=["method=homogeneous"], seed=seed)
        append_candidate(folder, candidate("skip", 0.25 + seed / 4, 500, genotype=genotypes[0], bops=10**6))
        append_candidate(folder, candidate("sep", 0.75, 3_000, genotype=genotypes[1], bops=2 * 10**6))
        # the same name in both seeds, but another genotype in each
        append_candidate(sweep / f"random{seed}", candidate("random 0", 0.125, 900, genotype=genotypes[seed]))
    return sweep


def test_candidates_get_a_table_of_their_own(baselines, capsys):
    assert report.main([str(baselines)]) == 0
    printed = capsys.readouterr()
    assert printed.out == (baselines / "summary.md").read_text() + "\n" + (baselines / "candidates.md").read_text()
    assert (baselines / "candidates.md").read_text().splitlines() == [
        "| space | method | candidate | seeds | valid accuracy (%) | params | MACs | BOPs |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
        "| darts | homogeneous | skip | 0, 1 | 37.50 ± 17.68 | 50 | 500 | 1,000,000 |",
        "| darts | homogeneous | sep | 0, 1 | 75.00 ± 0.00 | 300 | 3,000 | 2,000,000 |",
        "| darts | random | random 0 | 0 | 12.50 | 90 | 900 |  |",
        "| darts | random | random 0 | 1 | 12.50 | 90 | 900 |  |",
    ]
    rows = list(csv.DictReader((baselines / "candidates.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["skip", "sep", "random 0", "random 0"]
    assert rows[0] == {
        "data": "",
        "space": "darts",
        "method": "homogeneous",
        "setting": "method=homogeneous",
        "name": "skip",
        "seeds": "0 1",
        "valid_accuracy": "0.375",
        "valid_accuracy_std": str(0.125 * 2**0.5),
        "params": "50",
        "macs": "500",
        "bops": "1000000",
        "memory_bytes": "",
    }
    assert printed.err == (
        f"wrote summary.md, summary.csv, candidates.md, candidates.csv and accuracy_cost.png into {baselines}\n"
    )


def test_candidates_are_drawn_beside_the_runs(baselines, drawn):
    assert report.main([str(baselines)]) == 0
    ((points, labels),) = drawn
    assert labels["x_label"] == "MACs"
    of_candidates = [(point.group, point.x, point.y) for point in points if "candidates" in point.group]
    assert of_candidates == [
        ("homogeneous candidates, validation", 500, 37.5),
        ("homogeneous candidates, validation", 3_000, 75.0),
        ("random candidates, validation", 900, 12.5),
        ("random candidates, validation", 900, 12.5),
    ]
    assert len(points) == 4 + 3


@pytest.mark.parametrize(
    ("cost", "metric", "title"),
    [("bops", "bops", "BOPs"), ("memory", "memory_bytes", "bytes"), ("params", None, "params")],
)
def test_another_cost_can_be_drawn(cost, metric, title, tmp_path, drawn):
    counted = {} if metric is None else {metric: 7_000.0}
    run(tmp_path / "0", params=7_000, metrics={**SEARCH, **counted})
    assert report.main([str(tmp_path), "--cost", cost]) == 0
    (((point,), labels),) = drawn
    assert (point.x, labels["x_label"]) == (7_000, title)
    assert ("| BOPs |" in (tmp_path / "summary.md").read_text()) == (cost == "bops")


def test_a_cost_that_a_run_lacks(baselines, capsys):
    for words, label in (
        ([baselines], "first_order supernet validation"),
        ([baselines / "homogeneous0", "--out", baselines], "homogeneous"),
    ):
        message = error([*words, "--cost", "memory"], capsys)
        assert f"{label} has no memory_bytes: its runs did not count it; give --cost macs or --cost params" in message


def test_an_unknown_cost_is_listed(sweep, capsys):
    with pytest.raises(SystemExit, match="2"):
        report.main([str(sweep), "--cost", "watts"])
    said = capsys.readouterr().err
    assert all(name in said for name in ("params", "macs", "bops", "memory", "watts"))


@pytest.mark.parametrize("line", ['{"name": "x"}', "[]", "nothing"])
def test_candidates_that_cannot_be_read(line, baselines, capsys):
    path = baselines / "random0" / "candidates.jsonl"
    path.write_text(path.read_text() + line + "\n")
    assert f"{path}, line 2" in error([baselines], capsys)


# what competes in a Pareto front


def test_only_networks_of_one_data_set_compete_and_supernets_of_one_space(tmp_path, drawn):
    for number, (data, space) in enumerate([("digits", "darts"), ("digits", "pc_darts"), ("svhn", "darts")]):
        config = {"data": data, "space.name": space}
        run(tmp_path / f"s{number}", space=space, setting=[], config=config)
        run(tmp_path / f"r{number}", space=space, setting=[], config=config, command="retrain", metrics=RETRAIN)
    assert report.main([str(tmp_path)]) == 0
    assert report.main([str(tmp_path), "--fronts", "space"]) == 0
    (default, labels), (by_space, _) = drawn
    assert [point.measure for point in default] == [
        *("test, digits", "test, svhn", "test, digits"),
        *("supernet validation, digits, darts", "supernet validation, svhn, darts"),
        "supernet validation, digits, pc_darts",
    ]
    of_tests = ["test, digits, darts", "test, svhn, darts", "test, digits, pc_darts"]
    assert [point.measure for point in by_space[:3]] == of_tests
    assert labels["title"] == "Accuracy against cost, mean ± std over seeds"
    assert "| retrain | svhn | darts | first_order |" in (tmp_path / "summary.md").read_text()


def test_one_data_set_is_named_in_the_title(tmp_path, drawn):
    run(tmp_path / "0", config={"data": "digits"})
    assert report.main([str(tmp_path)]) == 0
    assert drawn[0][1]["title"] == "Accuracy against cost on digits, mean ± std over seeds"


def test_networks_trained_alone_do_not_compete_with_supernets(baselines, drawn):
    """The row of a baseline is its best candidate, whose accuracy is its own; that of a search is its supernet's."""
    assert report.main([str(baselines)]) == 0
    measures = {point.group.split()[0]: point.measure for point in drawn[0][0]}
    assert measures == {"first_order": "supernet validation", "random": "validation", "homogeneous": "validation"}


def test_data_are_told_apart_where_accuracies_do_not_compare():
    digits = {"data": "digits", "data.split.train": 0.5, "data.cutout": 2}
    assert data_names([digits, {**digits, "data.cutout": 0, "data.mean": [0.5]}]) == ["digits", "digits"]
    assert data_names([digits, {"data": "svhn"}, {}]) == ["digits", "svhn", ""]
    assert data_names([digits, {**digits, "data.split.train": 0.8}]) == [
        "digits data.split.train=0.5",
        "digits data.split.train=0.8",
    ]
