"""The authors' text form: read, written, refused, never evaluated."""

from pathlib import Path

import pytest

from nas.architecture import Genotype
from search_spaces.cells.authors_form import parse, write
from tests.contracts import draws
from tests.search_spaces.spaces import darts

GENES = "[('sep_conv_3x3', 0), ('skip_connect', 1)]"
DECISIONS = {
    "normal/2": [["sep_conv_3x3", 0], ["skip_connect", 1]],
    "normal/concat": [2],
    "reduce/2": [["sep_conv_3x3", 0], ["skip_connect", 1]],
    "reduce/concat": [2],
}


def text(**changes: str) -> str:
    fields = {"normal": GENES, "normal_concat": "[2]", "reduce": GENES, "reduce_concat": "range(2, 3)", **changes}
    return f"Genotype({', '.join(f'{name}={value}' for name, value in fields.items())})"


@pytest.mark.parametrize("prefix", ["", "DARTS = ", "  \n"])
@pytest.mark.parametrize("suffix", ["", "\n", "  # the best of four searches\n"])
def test_a_genotype_with_or_without_a_name(prefix: str, suffix: str) -> None:
    assert parse(prefix + text() + suffix) == Genotype("darts", {}, DECISIONS)


def test_the_space_is_the_callers() -> None:
    assert parse(text(), space="pc_darts").space == "pc_darts"


@pytest.mark.parametrize(
    ("concat", "wanted"),
    [
        ("range(2, 4)", [2, 3]),
        ("range(3, 4)", [3]),
        ("[3, 2]", [3, 2]),
        ("(2, 3)", [2, 3]),
        ("[2,]", [2]),
    ],
)
def test_concatenations_are_ranges_or_lists(concat: str, wanted: list[int]) -> None:
    genes = "[('a', 0), ('b', 1), ['c', 2], ['d', 0]]"
    decisions = parse(text(normal=genes, normal_concat=concat)).decisions
    assert decisions["normal/concat"] == wanted
    assert decisions["normal/3"] == [["c", 2], ["d", 0]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("x = 1", "this is not a genotype in the authors' form; that is Genotype(normal=[('sep_conv_3x3', 1), …], "),
        (
            text().replace("normal=", "regular=", 1),
            "a genotype in the authors' form has the fields normal, normal_concat, reduce, reduce_concat, not regular",
        ),
        (text(normal="f(1)"), "f(1) has no place in a genotype; write lists, pairs, strings, numbers, range(a, b)"),
        (
            text(normal="[('a', 0)]"),
            "normal is a list of (operator, input) pairs, two for each node; this is [('a', 0)]",
        ),
        (text(reduce="[('a', 0), 3]"), "reduce holds 3; give (operator, input) pairs such as ('sep_conv_3x3', 0)"),
        (text(normal_concat="range(2, 100)"), "range(2, 100) has no place in a genotype; write lists, "),
        (text(normal_concat="range(2, 99)"), "a cell concatenates some of its nodes 2 to 2; this one has [2, 3, "),
        (text(normal_concat="2"), "a concatenation is a list of node numbers or a range; this is 2"),
        (text(normal_concat="[3]"), "a cell concatenates some of its nodes 2 to 2; this one has [3]"),
    ],
)
def test_the_message_says_what_is_allowed(wrong: str, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        parse(wrong)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "Genotype",
        "Genotype(",
        "Genotype()",
        "Genotype(1, 2)",
        "Genotype(**fields)",
        f"Genotype({GENES}, range(2, 6), {GENES}, range(2, 6))",
        text(more="[2]"),
        text() + "\n" + text(),
        "import os",
        "__import__('os').system('x')",
        "(" * 10_000,
        "Genotype(normal=" + "[" * 10_000,
        "Genotype(normal=" + "-" * 20_000 + "1)",
        text().replace(", reduce_concat=range(2, 3)", ""),
        text(normal="[]"),
        text(normal="[('a', 0)]"),
        text(normal="[('a', 0), ('b', 1), ('c', 0)]"),
        text(normal="[('a', 0), ('b', 1, 2)]"),
        text(normal="[('a', 0), (1, 'b')]"),
        text(normal="[('a', 0), ('b', True)]"),
        text(normal="[('a', 0), ('b', 1.0)]"),
        text(normal="[('a', 0), 'b1']"),
        text(normal="[('a', 0), ('b', 2)]"),
        text(normal="[('a', 0), ('b', -1)]"),
        text(normal="'ab'"),
        text(normal="{('a', 0), ('b', 1)}"),
        text(normal="{[]: 1}"),
        text(normal="range(2, 4)"),
        text(normal="[gene for gene in genes]"),
        text(normal="list(genes)"),
        text(normal="Genotype(normal=1)"),
        text(normal="lambda: 1"),
        text(normal="f'{x}'"),
        text(normal="1 + " * 200 + "1"),
        text(normal_concat="range(2, 10**9)"),
        text(normal_concat="range(2, 1000000000)"),
        text(normal_concat="range(100)"),
        text(normal_concat="range(-1, 3)"),
        text(normal_concat="range(2, 6, 2)"),
        text(normal_concat="range()"),
        text(normal_concat="range(2.0, 3.0)"),
        text(normal_concat="range('a')"),
        text(normal_concat="range(range(2), 3)"),
        text(normal_concat="builtins.range(2, 3)"),
        text(normal_concat="range(True, 3)"),
        text(normal_concat="2"),
        text(normal_concat="['2']"),
        text(normal_concat="[True]"),
        text(normal_concat="[9]"),
        text(normal_concat="[]"),
        text() + "\0",
    ],
    ids=lambda wrong: wrong[:50] + wrong[-20:] if len(wrong) > 70 else wrong,
)
def test_other_text_is_refused_in_one_line(wrong: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        parse(wrong)
    assert str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "where", ["{}", "Genotype({})", "Genotype(normal={})", "NAME = {}", "Genotype(normal=[({}, 0)])"]
)
def test_nothing_is_evaluated(where: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for code in (f"__import__('os').system('touch {trace}')", f"open({str(trace)!r}, 'w')", "exit(1)", "1 / 0"):
        with pytest.raises(ValueError, match="genotype"):
            parse(where.format(code))
        with pytest.raises(ValueError, match="genotype"):
            parse(text(normal=where.format(code)))
    assert not trace.exists()


def test_writing_and_reading_brings_back_sampled_genotypes() -> None:
    for genotype in draws(darts(num_nodes=3), 10):
        assert parse(write(genotype)).decisions == genotype.decisions
    assert write(parse(text())) == text(reduce_concat="[2]")


def test_other_numbers_of_genes_cannot_be_written() -> None:
    (genotype,) = draws(darts(inputs_per_node=1), 1)
    with pytest.raises(
        ValueError, match=r"^the authors' form holds two \(operator, input\) pairs a node; this genotype"
    ):
        write(genotype)


@pytest.mark.parametrize(
    "text",
    [
        "os.system(normal=[], normal_concat=[2], reduce=[], reduce_concat=[2])",
        "return Genotype(normal=[], normal_concat=[2], reduce=[], reduce_concat=[2])",
        "Genotype(normal=[], normal=[], normal_concat=[2], reduce=[], reduce_concat=[2])",
        *(
            f"Genotype(normal={value}, normal_concat=[2], reduce=[], reduce_concat=[2])"
            for value in ("1" + "+1" * 900, "-" * 900 + "1", "a" + ".a" * 900)
        ),
    ],
)
def test_what_only_looks_like_a_genotype(text: str) -> None:
    with pytest.raises(ValueError, match="genotype") as error:
        parse(text)
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)
