"""The instruments of experiments/speed on programs whose numbers are known, and a run of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from experiments.speed.command import main
from experiments.speed.kernels import Kernels
from experiments.speed.loss_curve import SETTINGS, as_csv, as_png, loss_curves
from experiments.speed.machine import Rates
from experiments.speed.measure import Bench, count
from experiments.speed.memory import peak_bytes
from experiments.speed.pairing import Quartiles, paired, times_faster
from experiments.speed.report import COLUMNS, Results
from experiments.speed.workload import BATCHED, COMPILED, EDGE_BY_EDGE, RECOMPUTED, Subject, step
from nas.space import Skeleton
from nas.supernet import cpu
from tests.cli.commands import read_json

CPU = torch.device("cpu")
TINY = Subject("darts", Skeleton(channels=4, num_cells=1), image_size=8)


def counted(program: Callable[[], object]) -> tuple[int, int]:
    """(kernels, bytes) of a program."""
    with Kernels() as kernels:
        program()
    return kernels.count, kernels.bytes


def test_a_matrix_product_reads_both_and_writes_one() -> None:
    a, b = torch.ones(3, 5), torch.ones(5, 7)
    assert counted(lambda: a @ b) == (1, 4 * (3 * 5 + 5 * 7 + 3 * 7))


@pytest.mark.parametrize(
    "program",
    [
        lambda x: x.view(2, 12).t()[3:].chunk(2),
        lambda x: x.expand(7, 4, 6).unbind(),
        lambda x: x.detach().reshape(-1).unflatten(0, (2, 12)),
        lambda x: (torch.empty_like(x), x.new_empty(9), torch.empty(3)),
        lambda x: torch.promote_types(x.dtype, torch.float64),
    ],
)
def test_views_allocations_and_questions_are_no_kernels(program: Callable[[Tensor], object]) -> None:
    x = torch.ones(4, 6)
    assert counted(lambda: program(x)) == (0, 0)


def test_what_is_changed_in_place_is_read_and_written() -> None:
    a, b = torch.ones(10), torch.ones(10)
    assert counted(lambda: a.add_(b)) == (1, 4 * (10 + 10 + 10))
    assert counted(lambda: torch._foreach_add_([a], [b])) == (1, 4 * (10 + 10 + 10))


def test_what_is_only_written_is_not_read() -> None:
    a, out = torch.ones(10), torch.empty(10)
    assert counted(lambda: torch.exp(a, out=out)) == (1, 4 * (10 + 10))
    assert counted(lambda: (torch.zeros_like(a), a.new_ones(3))) == (2, 4 * (10 + 3))


def test_repeated_elements_and_arguments_count_once() -> None:
    a, b = torch.ones(6, 1), torch.ones(6, 8)
    assert counted(lambda: torch.mul(a.expand(6, 8), b)) == (1, 4 * (6 + 48 + 48))
    assert counted(lambda: torch.mul(b, b)) == (1, 4 * (48 + 48))
    assert counted(lambda: a.expand(6, 8).contiguous()) == (1, 4 * (6 + 48))
    assert counted(lambda: torch.cat([a, b[:, :0]], 1)) == (1, 4 * (6 + 6))


def test_the_backward_pass_is_counted() -> None:
    a, b = (torch.ones(5, 5, requires_grad=True) for _ in range(2))
    seed = torch.ones(5, 5)
    kernels, bytes = counted(lambda: torch.autograd.grad(a @ b, [a, b], seed))
    assert (kernels, bytes) == (3, 3 * 4 * 75)


def test_edge_by_edge_counts_the_same_everywhere_and_batched_less_as_on_a_gpu() -> None:
    counts = list(count(TINY, CPU))
    labels = [(c.device, c.variant) for c in counts]
    devices = ("as on this device", "as on a GPU")
    assert labels == [(device, variant) for device in devices for variant in (EDGE_BY_EDGE, BATCHED)]
    here, gpu = counts[:2], counts[2:]
    assert (here[0].kernels, here[0].bytes) == (gpu[0].kernels, gpu[0].bytes)
    assert sum(gpu[1].kernels.values()) < sum(here[1].kernels.values()) < sum(here[0].kernels.values())
    # stem, both inputs, twelve convolutions on each of 14 edges, two more in the skips of 8 edges that halve the image
    assert here[0].kernels["convolution"] == here[0].kernels["convolution_backward"] == 1 + 2 + 14 * 12 + 8 * 2


def test_as_on_a_gpu_every_depthwise_gradient_is_one_operation() -> None:
    _, here, _, gpu = count(TINY, CPU)
    assert gpu.kernels["convolution_backward"] == gpu.kernels["convolution"] < here.kernels["convolution_backward"]
    assert {"cpu"} == cpu.SPLIT_ON, "as it was"


def test_peak_memory_is_what_lives_at_once() -> None:
    x = torch.ones(1000)

    def program() -> None:
        a = x.exp()
        b = a.exp()
        del a
        c = b.exp().view(10, 100)
        del b, c
        torch.empty(1500)

    assert peak_bytes(program, CPU) == 4 * 2000
    assert peak_bytes(lambda: torch.empty(2500), CPU) == 4 * 2500
    assert peak_bytes(lambda: x.view(10, 100).t(), CPU) == 0


def test_peak_memory_holds_what_the_backward_pass_needs() -> None:
    x = torch.ones(1000, requires_grad=True)
    seed = torch.ones(1000)
    # exp and sin keep two results and cos of one; then both gradients, as the results go
    assert peak_bytes(lambda: torch.autograd.grad(x.exp().sin(), x, seed), CPU) == 4 * 4000


def test_works_take_turns() -> None:
    now = 0.0
    calls: list[str] = []

    def work(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            nonlocal now
            now += seconds * (1 + len(calls))
            calls.append(name)

        return run

    works = {"slow": work("slow", 4.0), "fast": work("fast", 1.0)}
    seconds = paired(works, 3, clock=lambda: now, settle=lambda: calls.append("settled"))
    assert [call for call in calls if call != "settled"] == ["slow", "fast", "fast", "slow", "slow", "fast"]
    assert calls[:3] == ["settled", "slow", "settled"]
    assert seconds == {"slow": [8.0, 44.0, 56.0], "fast": [5.0, 8.0, 17.0]}
    ratios = sorted([8 / 5, 44 / 8, 56 / 17])
    assert times_faster(seconds["slow"], seconds["fast"]).median == pytest.approx(ratios[1])


def test_quartiles() -> None:
    assert Quartiles.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Quartiles(2.0, 3.0, 4.0)
    assert Quartiles.of([7.0]) == Quartiles(7.0, 7.0, 7.0)


def test_variants_start_with_the_same_numbers() -> None:
    searches = [TINY.search(variant, device=CPU) for variant in (EDGE_BY_EDGE, BATCHED)]
    assert_close(*(search.objective.supernet.state_dict() for search in searches), rtol=0, atol=0)
    assert_close(*(search.arch.state_dict() for search in searches), rtol=0, atol=0)


def test_steps_move_weights_and_alphas_and_leave_no_gradients() -> None:
    search = TINY.search(BATCHED, method="second_order", device=CPU)
    before = [p.detach().clone() for p in (*search.objective.supernet.parameters(), *search.arch.parameters())]
    step(search, 2, TINY, 2, CPU)()
    after = [*search.objective.supernet.parameters(), *search.arch.parameters()]
    assert not any(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(parameter.grad is None for parameter in after)


def test_multiply_accumulates_grow_with_the_image() -> None:
    small, large = (Subject("darts", TINY.skeleton, size) for size in (8, 16))
    classifier = 4 * 8 * 10  # nodes, their channels after a reduction, classes
    assert large.macs - classifier == 4 * (small.macs - classifier) > 0


@pytest.mark.slow
def test_a_failing_compilation_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile(module: nn.Module, *, dynamic: bool, backend: str) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("\nthe backend raised:\nno | compiler\nmore")

        monkeypatch.setattr(module, "forward", fail)

    monkeypatch.setattr(nn.Module, "compile", compile)
    rates = Rates(1e9, 1e9)
    rows = list(Bench(CPU, None, repetitions=1, recomputed=True, compiled=True, rates=rates).rows(TINY, 0, 2))
    assert [row.variant for row in rows] == [EDGE_BY_EDGE, BATCHED, RECOMPUTED, COMPILED]
    assert [row.failed for row in rows] == [None, None, None, "the backend raised: no | compiler"]
    assert rows[1].kernels < rows[2].kernels < 2 * rows[1].kernels, "the forward pass of the cells runs again"
    page = Results({}, {}, {}, rates, rows, []).page()
    assert "| compiled | failed: the backend raised: no / compiler | – |" in page


def test_loss_curves_are_alike(tmp_path: Path) -> None:
    curves = loss_curves("darts", channels=4, cells=1, batch=8, steps=2, device=CPU)
    assert list(curves) == list(SETTINGS)
    exact, batched, bf16, other = (torch.tensor(losses) for losses in curves.values())
    assert_close(batched, exact, rtol=1e-4, atol=1e-4)
    assert_close(bf16, exact, rtol=0.05, atol=0.05)
    assert not torch.isclose(other, exact, rtol=1e-3).any()
    assert as_png(curves, "title").startswith(b"\x89PNG")
    lines = as_csv(curves).splitlines()
    assert lines[0] == 'step,edge_by_edge float32,batched float32,batched bf16,"edge_by_edge float32, another seed"'
    assert [float(cell) for cell in lines[2].split(",")] == [1.0, *(losses[1] for losses in curves.values())]


@pytest.mark.slow
def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--spaces darts --orders 1 --batches 2 --channels 4 --cells 1 --image-size 8 --repetitions 2 --threads 1"
    out = tmp_path / "results"
    main([*words.split(), "--device", "cpu", "--breakdown", "--out", str(out)])
    said = capsys.readouterr()
    assert said.err.splitlines() == ["darts, first-order step, batch 2"]
    page = (out / "results.md").read_text()
    assert said.out.strip() == page.strip()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    assert lines[0] == list(COLUMNS)
    expected = [["darts", "first-order step", "2", variant] for variant in (EDGE_BY_EDGE, BATCHED)]
    assert [line[:4] for line in lines[2:4]] == expected
    assert [line[5] == "1" for line in lines[2:4]] == [True, False]
    data = read_json(out / "results.json")
    assert data["versions"]["torch"] == torch.__version__
    assert data["machine"]["device"] == "cpu (1 thread)"
    assert data["options"]["orders"] == [1]
    assert [len(row["seconds"]) for row in data["rows"]] == [2, 2]
    for row in data["rows"]:
        for key in ("median_seconds", "peak_bytes", "kernels", "bytes", "floor_macs", "floor_bytes"):
            assert row[key] > 0, key
    assert [(c["variant"], c["device"]) for c in data["counts"]] == [
        (variant, device) for device in ("as on this device", "as on a GPU") for variant in (EDGE_BY_EDGE, BATCHED)
    ]
    assert json.dumps(data, allow_nan=False)
    assert "`convolution_backward`" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [("--loss-curve", "needs --out FOLDER"), ("--spaces nothing", "invalid choice"), ("--orders 3", "invalid choice")],
)
def test_mistakes_are_told(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words.split(), "--device", "cpu"])
    assert said in f"{end.value.code}{capsys.readouterr().err}"
