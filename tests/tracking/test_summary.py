import json
import math

import pytest

from nas.tracking import Summary, read_summary, write_summary
from tests.tracking.fabricated import GENOTYPE, RETRAIN, SEARCH, summary


def test_it_comes_back_equal(tmp_path):
    for written in (summary(), summary(command="retrain", metrics={**RETRAIN, "valid_accuracy": 0.5})):
        write_summary(tmp_path, written)
        assert read_summary(tmp_path) == written


def test_the_file_holds_each_field_and_metric_at_the_top(tmp_path):
    write_summary(tmp_path, summary())
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "format": "nas-summary",
        "version": 1,
        "status": "finished",
        "command": "search",
        "space": "darts",
        "method": "first_order",
        "setting": ["method=first_order", "space=darts"],
        "seed": 0,
        "genotype": GENOTYPE.to_dict(),
        "params": 1000,
        "macs": 20000,
        "epochs": 3,
        "device": "cpu (1 thread)",
        "wall_seconds": 12.5,
        "versions": {"python": "3.11.7"},
        **SEARCH,
    }


def test_the_setting_is_equal_for_all_seeds_and_ways_to_write_it():
    one = summary(setting=["+space=darts", "seed=3", "method.tau=5", "seeds_kept=1"])
    other = summary(setting=["method.tau=5", "++seed=4", "seeds_kept=1", "space=darts"])
    assert one.setting == other.setting == ("method.tau=5", "seeds_kept=1", "space=darts")


def test_nan_is_null_in_the_file_and_nan_again(tmp_path):
    write_summary(tmp_path, summary(metrics={**SEARCH, "train_loss": float("nan")}))
    assert json.loads((tmp_path / "summary.json").read_text())["train_loss"] is None
    assert math.isnan(read_summary(tmp_path).metrics["train_loss"])


def test_versions_are_filled_in():
    fields = {name: getattr(summary(), name) for name in summary().__dataclass_fields__ if name != "versions"}
    assert Summary(**fields).versions["torch"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": "draw"}, "no command 'draw'; it has search, retrain"),
        ({"command": "retrain"}, "retrain lacks test_loss, test_accuracy"),
        ({"metrics": {**SEARCH, "seed": 1.0}}, "metric cannot be called 'seed'"),
        ({"metrics": {**SEARCH, "status": 1.0}}, "metric cannot be called 'status'"),
    ],
)
def test_what_cannot_be_a_summary(changes, words):
    with pytest.raises(ValueError, match=words):
        summary(**changes)


def test_a_run_without_summary_has_not_finished(tmp_path):
    with pytest.raises(ValueError, match="has not finished") as error:
        read_summary(tmp_path)
    assert str(tmp_path) in str(error.value)


def changed(**changes) -> str:
    data = {**summary().to_dict(), **changes}
    return json.dumps({key: value for key, value in data.items() if value != "absent"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not the summary of a run"),
        ("[" * 100_000, "is not the summary of a run"),
        ("[]", 'has no "format"'),
        ('{"name": "package"}', 'has no "format"'),
        (changed(version=2), "version is 2; this program reads 1"),
        (changed(status="running"), "status is 'running'"),
        (changed(macs="absent"), "its 'macs' is None"),
        (changed(setting="absent"), "its 'setting' is None"),
        (changed(valid_accuracy="absent"), "lacks valid_accuracy"),
        (changed(valid_accuracy="high"), "unknown field 'valid_accuracy'"),
        (changed(genotype={}), "this is not a genotype"),
    ],
)
def test_a_damaged_or_foreign_file_is_named_in_one_line(tmp_path, text, words):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read_summary(tmp_path)
    assert str(tmp_path / "summary.json") in str(error.value)
    assert "\n" not in str(error.value)
