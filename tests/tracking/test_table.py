import csv
import io
import json
import math

import pytest

from nas.tracking import (
    LeftOut,
    Spread,
    Summary,
    Table,
    collect,
    tabulate,
    to_csv,
    to_markdown,
    write_table,
)
from tests.tracking.fabricated import RETRAIN, SEARCH, failed_run, run, summary


def searches(folder, accuracies, **changes):
    for seed, accuracy in enumerate(accuracies):
        changes_of_seed = {"seed": seed, "params": 1000 + seed, "macs": 20_000 + 2 * seed, "wall_seconds": 10.0 + seed}
        run(folder / str(seed), metrics={**SEARCH, "valid_accuracy": accuracy}, **{**changes_of_seed, **changes})


def test_mean_and_sample_deviation_by_hand(tmp_path):
    searches(tmp_path, [0.5, 0.6, 0.8])
    (row,) = tabulate(collect([tmp_path])).rows
    mean = 1.9 / 3
    std = math.sqrt(((0.5 - mean) ** 2 + (0.6 - mean) ** 2 + (0.8 - mean) ** 2) / 2)
    assert row.valid_accuracy == Spread(pytest.approx(mean, rel=1e-14), pytest.approx(std, rel=1e-14))
    assert row.test_accuracy is None
    assert row.accuracy == row.valid_accuracy
    assert (row.seeds, row.params, row.macs, row.wall_seconds) == ((0, 1, 2), 1001, 20_002, 11.0)


def test_markdown_by_hand(tmp_path):
    searches(tmp_path / "a", [0.5, 0.6, 0.8])
    searches(tmp_path / "b", [0.71875], setting=["cost.weight=1|2", "method=other"], params=1_234_567)
    run(tmp_path / "c", command="retrain", method="random", metrics=RETRAIN, setting=[])
    failed = failed_run(tmp_path / "d")
    assert to_markdown(tabulate(collect([tmp_path]))).splitlines() == [
        "| command | space | method | setting | seeds "
        "| test accuracy (%) | valid accuracy (%) | params | MACs | seconds |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| retrain | darts | random |  | 0 | 81.25 |  | 1,000 | 20,000 | 12.5 |",
        "| search | darts | first_order | cost.weight=1\\|2 method=other | 0 |  | 71.88 | 1,234,567 | 20,000 | 10.0 |",
        "| search | darts | first_order |  | 0, 1, 2 |  | 63.33 ± 15.28 | 1,001 | 20,002 | 11.0 |",
        "",
        "Not counted (1):",
        "",
        f"- `{failed}`: unfinished or failed: no summary.json",
    ]


def test_columns_without_any_entry_are_not_shown(tmp_path):
    searches(tmp_path, [0.5], setting=[])
    header = to_markdown(tabulate(collect([tmp_path]))).splitlines()[0]
    assert header == "| command | space | method | seeds | valid accuracy (%) | params | MACs | seconds |"


def test_csv_keeps_full_precision(tmp_path):
    searches(tmp_path / "a", [0.5, 0.6, 0.8], setting=['ops="[a,b]"'])
    run(tmp_path / "b", command="retrain", metrics={**RETRAIN, "test_accuracy": 1 / 3, "valid_accuracy": 0.25})
    failed = failed_run(tmp_path / "c")
    table = tabulate(collect([tmp_path]))
    retrained, searched, left_out = csv.DictReader(io.StringIO(to_csv(table)))
    assert retrained["setting"] == "method=first_order space=darts"
    assert float(searched["valid_accuracy"]) == table.rows[1].valid_accuracy.mean
    assert float(searched["valid_accuracy_std"]) == table.rows[1].valid_accuracy.std
    assert (searched["status"], searched["setting"], searched["seeds"]) == ("finished", 'ops="[a,b]"', "0 1 2")
    assert searched["test_accuracy"] == searched["test_accuracy_std"] == searched["folder"] == ""
    assert (float(retrained["test_accuracy"]), retrained["test_accuracy_std"]) == (1 / 3, "")
    assert float(retrained["valid_accuracy"]) == 0.25
    assert table.rows[0].accuracy == table.rows[0].test_accuracy == Spread(1 / 3, None)
    assert (left_out["status"], left_out["folder"], left_out["command"]) == ("left out", str(failed), "")
    assert left_out["reason"] == "unfinished or failed: no summary.json"


@pytest.mark.parametrize(
    "change", [{"command": "retrain", "metrics": RETRAIN}, {"space": "x"}, {"method": "x"}, {"setting": ["x=1"]}]
)
def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(tmp_path, change):
    run(tmp_path / "a")
    run(tmp_path / "b", seed=1, **change)
    assert len(tabulate(collect([tmp_path])).rows) == 2


def test_the_order_does_not_depend_on_how_the_runs_are_given(tmp_path):
    folders = [run(tmp_path / name, method=name, setting=[]) for name in ("b", "a", "c")]
    forward, backward = tabulate(collect(folders)), tabulate(collect(reversed(folders)))
    assert forward == backward
    assert [row.method for row in forward.rows] == ["a", "b", "c"]


def test_a_run_that_is_reached_twice_counts_once(tmp_path):
    folder = run(tmp_path / "sweep" / "0")
    runs = collect([tmp_path, folder, tmp_path / "sweep" / ".." / "sweep"])
    assert len(runs.finished) == 1
    assert runs.left_out == ()


def test_a_repeated_run_is_no_further_sample(tmp_path):
    first, again = run(tmp_path / "10-00"), run(tmp_path / "11-00", metrics={**SEARCH, "valid_accuracy": 0.5})
    other = run(tmp_path / "12-00", seed=1)
    runs = collect([tmp_path])
    assert list(runs.finished) == [again, other]
    assert runs.left_out == (LeftOut(first, f"the same run, seed 0 included, as {again}"),)
    assert tabulate(runs).rows[0].valid_accuracy.mean == 0.625


def test_unreadable_summaries_are_left_out_with_the_reason(tmp_path):
    run(tmp_path / "good")
    (failed_run(tmp_path / "bad") / "summary.json").write_text("{")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "summary.json").write_text("{}")
    runs = collect([tmp_path])
    assert list(runs.finished) == [tmp_path / "good"]
    assert [item.folder.name for item in runs.left_out] == ["bad", "foreign"]
    assert all("is not the summary of a run" in item.reason for item in runs.left_out)


def test_hidden_folders_are_not_searched(tmp_path):
    run(tmp_path / ".trash" / "0")
    assert collect([tmp_path]).finished == {}


def test_nan_shows_as_nan(tmp_path):
    run(tmp_path / "a", metrics={**SEARCH, "valid_accuracy": float("nan")})
    run(tmp_path / "b", seed=1)
    assert "| nan ± nan |" in to_markdown(tabulate(collect([tmp_path])))


def test_a_table_of_failed_runs_alone(tmp_path):
    failed_run(tmp_path / "a")
    write_table(tmp_path, tabulate(collect([tmp_path])))
    assert (tmp_path / "summary.md").read_text().splitlines()[0] == "Not counted (1):"
    assert len((tmp_path / "summary.csv").read_text().splitlines()) == 2


def test_both_files_are_written(tmp_path):
    run(tmp_path / "0")
    table = tabulate(collect([tmp_path]))
    write_table(tmp_path, table)
    assert (tmp_path / "summary.md").read_text() == to_markdown(table)
    assert (tmp_path / "summary.csv").read_text() == to_csv(table)
    assert to_markdown(Table((), ())) == "\n"
    assert summary().setting == table.rows[0].setting


def test_a_default_that_one_run_names_does_not_tell_it_from_another(tmp_path):
    config = {"trainer.epochs": 12, "data": "digits"}
    run(tmp_path / "a", seed=0, setting=["space=darts"], config=config)
    run(tmp_path / "b", seed=1, setting=["space=darts", "trainer.epochs=12"], config=config)
    run(tmp_path / "c", seed=2, setting=["space=darts", "trainer.epochs=13"], config={**config, "trainer.epochs": 13})
    rows = tabulate(collect([tmp_path])).rows
    assert [(row.seeds, row.setting) for row in rows] == [
        ((0, 1), ("space=darts",)),
        ((2,), ("space=darts", "trainer.epochs=13")),
    ]
    assert "| command | data | space | method | setting |" in to_markdown(tabulate(collect([tmp_path])))
    run(tmp_path / "d", seed=1, setting=["space=darts"], config=config)
    assert "the same run, seed 1 included, as" in collect([tmp_path]).left_out[0].reason


def test_the_config_comes_back_and_must_be_one(tmp_path):
    written = summary(config={"trainer.lr": 0.5, "space.widths": [0.5, 1.0], "space.network": None})
    assert Summary.from_dict(json.loads(json.dumps(written.to_dict()))) == written
    assert "config" not in summary().to_dict()
    with pytest.raises(ValueError, match="its 'config' is 3, not"):
        Summary.from_dict({**written.to_dict(), "config": 3})
