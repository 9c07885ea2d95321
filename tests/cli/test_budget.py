"""Budgets from the command line: what they do to a search, and every mistake in one line."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nas.architecture import Genotype
from nas.costs import CostModel, count
from nas.space import Skeleton
from nas.tracking import read_candidates
from tests.cli.commands import Outcome, call, read_epochs, read_json
from tests.optimization.budgets import costed_space

SKELETON = Skeleton(in_channels=1, image_size=(8, 8), num_classes=10)
COST = costed_space().cost("macs", SKELETON)
SMALLEST, LARGEST = COST.smallest()[0], COST.largest()[0]
SMOKE = ("debug=smoke", "trainer.arch_warmup=0", "hydra.run.dir=run")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with the config of a space that knows its costs."""
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "costed.yaml").write_text("_target_: tests.optimization.budgets.costed_space\n")
    return tmp_path


def search(own: Path, *words: str) -> Outcome:
    given = {word.split("=")[0] for word in words}
    smoke = (word for word in SMOKE if word.split("=")[0] not in given)
    return call("search", "--config-dir", str(own), "+space=costed", *smoke, *words, cwd=own)


def succeed(own: Path, *words: str) -> Outcome:
    outcome = search(own, *words)
    assert outcome.status == 0, outcome.err
    return outcome


def macs_of(genotype: dict[str, Any]) -> int:
    """Counted on the network."""
    return count(costed_space().network(Genotype.from_dict(genotype), SKELETON), SKELETON.image_shape).macs


@pytest.mark.parametrize("word", ["0.3x", f"{0.3 * LARGEST}"])
def test_a_hard_budget_holds_in_every_epoch(word: str, own: Path) -> None:
    outcome = succeed(own, f"budget.macs={word}", "budget.hard=true", "budget.loss.held=expected")
    epochs = read_epochs(own / "run")
    for epoch in epochs:
        assert epoch["budget"]["macs"] == macs_of(epoch["genotype"]) <= 0.3 * LARGEST
        assert SMALLEST < epoch["budget"]["expected_macs"] < LARGEST
        assert epoch["budget"]["multiplier"] > 0  # the mean of all kernels is dearer than that
    assert epochs[0]["budget"]["multiplier"] < epochs[1]["budget"]["multiplier"]
    assert read_json(own / "run" / "summary.json")["macs"] == epochs[-1]["budget"]["macs"]
    assert f"it costs {epochs[-1]['budget']['macs']:,.0f} macs of at most {0.3 * LARGEST:,.0f} macs\n" in outcome.out
    state = torch.load(own / "run" / "checkpoint.pt", weights_only=True)["state"]
    assert float(state["budget"]["multiplier"]) == epochs[-1]["budget"]["multiplier"]
    events = EventAccumulator(str(own / "run")).Reload()
    for name in ("macs", "expected_macs", "multiplier"):
        shown = [scalar.value for scalar in events.Scalars(f"budget/{name}")]
        assert shown == pytest.approx([epoch["budget"][name] for epoch in epochs], rel=1e-6)


def test_a_budget_that_is_not_hard_may_be_exceeded_and_says_so(own: Path) -> None:
    outcome = succeed(own, f"budget.macs={SMALLEST}", "trainer.arch_rate=1e-6", "method.alpha_scale=3", "seed=2")
    last = read_epochs(own / "run")[-1]["budget"]
    assert last["macs"] > SMALLEST
    assert (
        f"of at most {SMALLEST:,.0f} macs, which it exceeds: add budget.hard=true for one that does not" in outcome.out
    )


@pytest.mark.slow
def test_the_key_of_a_budget_moves_the_alphas(own: Path) -> None:
    """Every part, and every key of it, leads to other alphas than the rest."""
    line = "budget.loss.line=[[1e3,3.0],[1e5,2.0]]"
    variants = [
        (),
        ("budget.macs=0.3x",),
        ("budget.macs=0.3x", "budget.loss.held=expected"),
        ("budget.macs=0.3x", "budget.loss.rate=5"),
        ("budget.macs=0.3x", "budget.loss.damping=0.1"),
        ("budget.params=0.3x",),
        ("budget=penalty", "budget.macs=any"),
        ("budget=penalty", "budget.macs=0.3x"),
        ("budget=penalty", "budget.macs=any", "budget.loss.weight=9"),
        ("budget=penalty", "budget.macs=any", "budget.loss.power=1"),
        ("budget=homogeneous_line", "budget.macs=any", line),
    ]
    sgd = ("method.arch_optimizer._target_=torch.optim.SGD", "~method.arch_optimizer.betas")
    found = []
    for number, words in enumerate(variants):
        succeed(own, *words, *sgd, "trainer.epochs=1", f"hydra.run.dir={number}")
        found.append(read_epochs(own / str(number))[-1]["alphas"])
    for (one, alphas), (other, others) in itertools.combinations(zip(variants, found, strict=True), 2):
        assert alphas != others, (one, other)


def test_homogeneous_genotypes_are_trained_and_make_a_line(own: Path) -> None:
    words = ("trainer.epochs=4", "trainer.max_steps=1")
    succeed(own, "method=homogeneous", *words, "hydra.run.dir=homogeneous")
    candidates = read_candidates(own / "homogeneous")
    assert [candidate.record.name for candidate in candidates] == ["1x1", "3x3", "5x5"]
    assert [candidate.record.epochs for candidate in candidates] == [2, 1, 1]
    for candidate in candidates:
        assert set(candidate.record.genotype.decisions.values()) == {candidate.record.name}
        network = costed_space().network(candidate.record.genotype, SKELETON)
        counted = count(network, SKELETON.image_shape)
        assert (candidate.costs["params"], candidate.costs["macs"]) == (counted.params, counted.macs)
    epochs = read_epochs(own / "homogeneous")
    last = [epochs[1], epochs[2], epochs[3]]
    assert [epoch["valid_accuracy"] for epoch in last] == [one.record.valid_accuracy for one in candidates]
    best = max(candidates, key=lambda one: one.record.valid_accuracy)
    summary = read_json(own / "homogeneous" / "summary.json")
    assert summary["genotype"] == best.record.genotype.to_dict()
    assert summary["valid_accuracy"] == best.record.valid_accuracy
    # its points, and the same ones by hand, lead the search to the same alphas
    points = [[one.costs["macs"], one.record.valid_loss] for one in candidates]
    for name, line in (("run", "homogeneous"), ("by_hand", str(points).replace(" ", ""))):
        succeed(own, "budget=homogeneous_line", "budget.macs=any", f"budget.loss.line={line}", f"hydra.run.dir={name}")
    assert read_epochs(own / "run")[-1]["alphas"] == read_epochs(own / "by_hand")[-1]["alphas"]


@pytest.mark.parametrize("method", ["homogeneous", "random"])
def test_a_baseline_keeps_within_a_budget(method: str, own: Path) -> None:
    limit = COST.exact({"first/op": "3x3", "second/op": "3x3"})
    few = ["method.epochs_per_candidate=1"] if method == "random" else []
    succeed(own, f"method={method}", f"budget.macs={limit}", "trainer.epochs=8", "trainer.max_steps=1", *few)
    macs = [candidate.costs["macs"] for candidate in read_candidates(own / "run")]
    if method == "random":
        assert len(macs) == 8
        assert max(macs) <= limit
    else:
        assert len(macs) == 3
        assert max(macs) > limit
    assert all(epoch["budget"]["macs"] == macs_of(epoch["genotype"]) <= limit for epoch in read_epochs(own / "run"))


def test_a_cost_model_that_is_wrong_is_found_out(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = CostModel.expected
    monkeypatch.setattr(CostModel, "expected", lambda self, mixture: expected(self, mixture) + 1)
    with pytest.raises(AssertionError, match=r"the cost model says .* macs, but the derived network has"):
        search(own, "budget.macs=any", "budget=penalty")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("budget.macs=1", ["the budget of 1 macs cannot be met", f"is {SMALLEST:,.0f} macs; give at least that"]),
        ("budget.macs=0.001x", ["cannot be met", f"{SMALLEST:,.0f}"]),
        ("budget.macs=250M", ["budget.macs is '250M'", "1.2e7", "0.25x", "any"]),
        ("budget.macs=-3", ["budget.macs is -3", "positive"]),
        ("budget.macs=0x", ["budget.macs is '0x'", "positive"]),
        ("budget.macs=nan", ["budget.macs is nan", "positive"]),
        ("budget.macs=inf", ["budget.macs is inf", "positive"]),
        ("budget.macs=true", ["budget.macs is True", "positive"]),
        ("budget.macs=1x2", ["budget.macs is '1x2'"]),
        ("budget.macs=[1,2]", ["budget.macs is [1, 2]"]),
        ("budget.macs=any", ["budget=target needs an amount", "budget.macs=0.25x"]),
        ("budget.macs=0.5x budget.params=0.5x", ["one budget", "budget.params=0.5x and budget.macs=0.5x", "leave one"]),
        ("budget.flops=1e9", ["there is no key 'budget.flops'", "bops", "latency", "macs", "memory", "params"]),
        ("budget.latency=0.5x", ["space 'costed' knows no latency", "params, macs"]),
        ("budget.hard=true", ["there is no budget", "budget.bops", "0.25x"]),
        ("budget.hard=perhaps", ["budget.hard is 'perhaps'", "boolean"]),
        ("budget=penalty budget.macs=any budget.hard=true", ["budget.hard=true needs a limit", "budget.macs=0.25x"]),
        ("budget=penalty budget.macs=any budget.loss.weight=0", ["budget.loss.weight is 0", "positive"]),
        ("budget=penalty budget.macs=any budget.loss.rate=1", ["'budget.loss.rate'", "weight", "power"]),
        ("budget=fine budget.macs=any", ["there is no budget 'fine'", "homogeneous_line, penalty, target"]),
        ("budget.macs=0.5x budget.loss.rate=0", ["budget.loss.rate is 0", "positive"]),
        ("budget=homogeneous_line budget.macs=any", ["budget.loss.line has no value"]),
        ("budget=homogeneous_line budget.macs=any budget.loss.line=nowhere", ["the run nowhere has not finished"]),
        ("budget=homogeneous_line budget.macs=any budget.loss.line=[[1,2]]", ["two different costs", "1"]),
        ("budget=homogeneous_line budget.macs=any budget.loss.line=[[1,2,3]]", ["budget.loss.line"]),
        ("budget=homogeneous_line budget.macs=0.5x budget.loss.line=[[1,2],[2,1]]", ["budget.hard=true", "any"]),
        (
            "method=homogeneous method.candidates=null",
            ["trainer.epochs is 2", "3 homogeneous", "1x1, 3x3, 5x5", "least 3"],
        ),
        ("method=homogeneous method.candidates=0", ["method.candidates is 0", "at least 1"]),
    ],
)
def test_a_wrong_budget_is_one_line(words: str, parts: list[str], own: Path) -> None:
    line = search(own, *words.split()).error
    assert all(part in line for part in parts), line
    assert not {path.name for path in own.rglob("*")} & {"search.jsonl", "genotype.json", "summary.json"}


def test_a_space_of_cells_has_no_budget(tmp_path: Path) -> None:
    line = call("search", "space=darts", "debug=smoke", "budget.macs=0.5x", cwd=tmp_path).error
    assert "space 'darts' knows no macs for a budget" in line


def test_the_line_of_another_method_is_refused(own: Path) -> None:
    succeed(own, "hydra.run.dir=gradients")
    words = ("budget=homogeneous_line", "budget.macs=any", "budget.loss.line=gradients")
    line = search(own, *words).error
    assert "budget.loss.line is the run gradients of method=first_order; give a run of method=homogeneous" in line
