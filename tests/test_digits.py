"""The main job with its defaults, from the search to the test accuracy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, module: str, *words: str) -> None:
    subprocess.run([sys.executable, "-m", f"nas.{module}", *words], cwd=folder, check=True, timeout=800)


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_the_default_search_and_retraining_reach_97_percent(tmp_path: Path) -> None:
    """The bound is the project's own; three seeds gave 98.1 to 99.2 % (experiments/digits)."""
    run(tmp_path, "search", "+space=pc_darts", "hydra.run.dir=searched")
    run(tmp_path, "retrain", "genotype=searched", "hydra.run.dir=retrained")
    summary = json.loads((tmp_path / "retrained" / "summary.json").read_text())
    assert summary["test_accuracy"] >= 0.97
