"""Exporting: a retrained network becomes a file that computes the same, and nothing else becomes one."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch

from nas.architecture import Genotype
from nas.exporting import Onnx, Pt2, random_batches
from nas.exporting.format import Run
from nas.space import Skeleton
from nas.tracking import load_checkpoint, save_checkpoint
from tests.cli.commands import TINY, Outcome, call, read_json, snapshot, succeed
from tests.cli.conftest import Searched
from tests.cli.networks import network

FORMATS = ("onnx", "pt2")
Files = tuple[Path, dict[str, Outcome]]


@pytest.fixture
def run(retrained: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of the directory of a retraining of PC-DARTS."""
    return Path(shutil.copytree(retrained[0], tmp_path / "run"))


@pytest.fixture(scope="module")
def exported(retrained: tuple[Path, Outcome], tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Another copy, exported to every format, and what was said."""
    run = Path(shutil.copytree(retrained[0], tmp_path_factory.mktemp("exported") / "run"))
    return run, {form: succeed("export", "genotype=run", f"format={form}", cwd=run.parent) for form in FORMATS}


def trained(run: Path) -> torch.nn.Module:
    """The network of a run, built without the command, with its auxiliary head."""
    state = load_checkpoint(run / "checkpoint.pt")
    rebuilt = network(Genotype.from_dict(state["genotype"]), Skeleton(**state["skeleton"]))
    rebuilt.load_state_dict(state["weights"])
    return rebuilt.eval()


def check(run: Path, form: str, outcome: Outcome) -> None:
    """The file gives the network's logits for batches of 1 and 5, and the command said so."""
    path = run / f"network.{form}"
    wanted = trained(run)
    for size in (1, 5):
        images = torch.randn(size, 1, 8, 8)
        with torch.no_grad():
            logits = wanted(images)
        if form == "onnx":
            (found,) = onnxruntime.InferenceSession(path).run(None, {"images": images.numpy()})
        else:
            found = torch.export.load(path).module()(images).detach()
        torch.testing.assert_close(torch.as_tensor(found), logits, atol=1e-4 * float(logits.abs().max()), rtol=0)
    first, second = outcome.out.splitlines()
    assert first == f"exported run/{path.name}, {path.stat().st_size:,} bytes, the weights after epoch 1"
    said = re.fullmatch(r"largest difference to the network's logits (\S+), allowed (\S+)", second)
    assert said is not None
    with torch.no_grad():
        largest = max(float(wanted(images).abs().max()) for images in random_batches((1, 8, 8)))
    assert 0 <= float(said[1]) < 1e-5
    assert float(said[2]) == pytest.approx(1e-4 * largest, rel=0.06)  # two digits of it


@pytest.mark.parametrize("form", FORMATS)
def test_a_retrained_network_is_exported(form: str, exported: Files) -> None:
    run, outcomes = exported
    check(run, form, outcomes[form])


def test_the_files_are_all_that_is_left(exported: Files, retrained: tuple[Path, Outcome]) -> None:
    run, _ = exported
    before, after = snapshot(retrained[0]), snapshot(run)
    assert after.keys() - before.keys() == {f"network.{form}" for form in FORMATS}
    assert all(after[name] == before[name] for name in before)
    assert [path.name for path in run.parent.iterdir()] == ["run"]


@pytest.mark.slow
@pytest.mark.parametrize("space", ["darts", "pc_darts"])
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_every_space_and_stem_is_exported(space: str, stem: str, searched: Searched, tmp_path: Path) -> None:
    words = (f"genotype={searched(space)[0]}", "debug=smoke", f"network.stem={stem}", "network.cells=3")
    succeed("retrain", *words, "hydra.run.dir=run", cwd=tmp_path)
    for form in FORMATS:
        check(tmp_path / "run", form, succeed("export", "genotype=run", f"format={form}", cwd=tmp_path))


def test_an_onnx_file_holds_the_network_alone_and_says_where_it_is_from(exported: Files) -> None:
    run, _ = exported
    model = onnx.load(run / "network.onnx")
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    assert not [tensor.name for tensor in model.graph.initializer if "auxiliary" in tensor.name]
    (images,), (logits,) = model.graph.input, model.graph.output
    sizes = [[dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in (images, logits)]
    assert (images.name, logits.name, sizes) == ("images", "logits", [["batch", 1, 8, 8], ["batch", 10]])
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    assert Genotype.from_json(metadata["genotype"]) == Genotype.from_json((run / "genotype.json").read_text())
    assert (metadata["space"], metadata["epoch"], metadata["bits"]) == ("pc_darts", "1", "{}")
    assert json.loads(metadata["versions"]) == read_json(run / "summary.json")["versions"]


def test_a_pt2_file_holds_the_network_alone_and_says_where_it_is_from(exported: Files) -> None:
    run, _ = exported
    extra = {"metadata.json": ""}
    program = torch.export.load(run / "network.pt2", extra_files=extra)
    assert not [name for name in program.state_dict if "auxiliary" in name]
    assert json.loads(extra["metadata.json"]) == Onnx(18).metadata((run / "network.onnx").read_bytes())


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_tells_no_place_of_this_machine(form: str, exported: Files) -> None:
    run, _ = exported
    data = (run / f"network.{form}").read_bytes()
    for place in (run.parent, Path(__file__).parents[2], Path(torch.__file__).parent):
        assert str(place).encode() not in data


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["genotype=DARTS_V2"], ["DARTS_V2 is a genotype without weights; retrain it first: python -m nas.retrain "]),
        (["genotype=run/genotype.json"], ["without weights; retrain it first: python -m nas.retrain genotype=run/gen"]),
        (["genotype=DARTS_V9"], ["there is no genotype 'DARTS_V9'"]),
        (["genotype=."], ["holds no genotype.json"]),
        (["genotype=run", "format=onx"], ["there is no format 'onx'; choose one of onnx, pt2 (did you mean 'onnx'?)"]),
        (["genotype=run", "format.opset=17"], ["opset is 17; give one of 18 to 23"]),
        (["genotype=run", "format.opset=24"], ["opset is 24; give one of 18 to 23"]),
        (["genotype=run", "format.opset=new"], ["format.opset", "'new'", "integer"]),
        (["genotype=run", "format=pt2", "format.opset=18"], ["there is no key 'format.opset'"]),
        (["genotype=run", "tolerance=0"], ["tolerance is 0", "greater than 0"]),
        (["genotype=run", "output=run"], ["output run is a folder; give the name of a file"]),
        (["genotype=run", "outptu=x"], ["'outptu'", "did you mean 'output'"]),
        ([], ["genotype is missing"]),
    ],
)
def test_mistakes_are_one_line(words: list[str], parts: list[str], run: Path) -> None:
    before = snapshot(run.parent)
    error = call("export", *words, cwd=run.parent).error
    assert all(part in error for part in parts), error
    assert snapshot(run.parent) == before


@pytest.mark.parametrize("method", ["first_order", "random"])
def test_a_search_is_told_to_be_retrained(method: str, tmp_path: Path) -> None:
    succeed("search", "+space=darts", f"method={method}", *TINY, "space.num_nodes=1", "hydra.run.dir=run", cwd=tmp_path)
    before = snapshot(tmp_path)
    assert call("export", "genotype=run", cwd=tmp_path).error == (
        "run holds a search; retrain it first: python -m nas.retrain genotype=run"
    )
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_of_something_else_is_kept(form: str, run: Path) -> None:
    path = run.parent / "mine"
    path.write_text("mine")
    words = ("genotype=run", f"format={form}", "output=mine")
    error = call("export", *words, cwd=run.parent).error
    assert error == "mine is no former export of this genotype: give another output, or move it away"
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state["skeleton"].pop("image_size"), "another version of this program: its skeleton differs in"),
        (lambda state: state["weights"].popitem(), "do not fit the network of its genotype"),
        (lambda state: state["skeleton"].update(channels=12), "do not fit the network of its genotype"),
        (lambda state: state.update(genotype={}), "this is not a genotype"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_line(change: Any, said: str, run: Path) -> None:
    state = load_checkpoint(run / "checkpoint.pt")
    change(state)
    save_checkpoint(run / "checkpoint.pt", state)
    error = call("export", "genotype=run", cwd=run.parent).error
    assert said in error
    assert len(error) < 600
    assert not (run / "network.onnx").exists()


@pytest.mark.slow
def test_a_former_file_stays_until_one_computes_the_same(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = succeed("export", "genotype=run", "format=pt2", "output=new/file", cwd=run.parent)
    assert first.out.startswith("exported new/file, ")
    before = snapshot(run.parent)
    load = Pt2.load

    def other(self: Pt2, data: bytes, *, inputs: bool) -> Callable[[torch.Tensor], Run]:
        file = load(self, data, inputs=inputs)
        return lambda images: file(images * 1.01)

    monkeypatch.setattr(Pt2, "load", other)
    error = call("export", "genotype=run", "format=pt2", "output=new/file", cwd=run.parent).error
    assert re.match(r"the logits of the file differ from those of the network by \S+; \S+ is allowed, by tol", error)
    assert snapshot(run.parent) == before
    monkeypatch.undo()
    assert succeed("export", "genotype=run", "format=pt2", "output=new/file", cwd=run.parent).out == first.out


def test_a_missing_package_is_told_with_its_extra(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    error = call("export", "genotype=run", cwd=run.parent).error
    assert error == (
        "exporting to onnx needs the extra: pip install 'differentiable-nas[export]' (onnxscript is missing)"
    )
