"""Published cells against a second transcription."""

import pytest
import torch

from nas.architecture import Genotype
from nas.space import Skeleton
from search_spaces.cells import CellSpace
from search_spaces.cells.authors_form import parse, write
from search_spaces.cells.published import PUBLISHED
from search_spaces.operators import OPERATORS

# specs/darts.md section 4 and, for DARTS_plus, specs/compression.md section 2.3: OPERATOR@INPUT, two a node | concat
SHORT = {
    "m": "max_pool_3x3",
    "a": "avg_pool_3x3",
    "k": "skip_connect",
    "s3": "sep_conv_3x3",
    "s5": "sep_conv_5x5",
    "s7": "sep_conv_7x7",
    "d3": "dil_conv_3x3",
    "d5": "dil_conv_5x5",
    "c7": "conv_7x1_1x7",
}
TRANSCRIBED = {
    "DARTS_V1": (
        "s3@1 s3@0 k@0 s3@1 k@0 s3@1 s3@0 k@2 | 2 3 4 5",
        "m@0 m@1 k@2 m@0 m@0 k@2 k@2 a@0 | 2 3 4 5",
    ),
    "DARTS_V2": (
        "s3@0 s3@1 s3@0 s3@1 s3@1 k@0 k@0 d3@2 | 2 3 4 5",
        "m@0 m@1 k@2 m@1 m@0 k@2 k@2 m@1 | 2 3 4 5",
    ),
    "PC_DARTS_cifar": (
        "s3@1 k@0 s3@0 d3@1 s5@0 s3@1 a@0 d3@1 | 2 3 4 5",
        "s5@1 m@0 s5@1 s5@2 s3@0 s3@3 s3@1 s3@2 | 2 3 4 5",
    ),
    "PC_DARTS_image": (
        "k@1 s3@0 s3@0 k@1 s3@1 s3@3 s3@1 d5@4 | 2 3 4 5",
        "s3@0 k@1 d5@2 m@1 s3@2 s3@1 s5@0 s3@3 | 2 3 4 5",
    ),
    "PDARTS": (
        "k@0 d3@1 k@0 s3@1 s3@1 s3@3 s3@0 d5@4 | 2 3 4 5",
        "a@0 s5@1 s3@0 d5@2 m@0 d3@1 d3@1 d5@3 | 2 3 4 5",
    ),
    "DrNAS_cifar10": (
        "s3@0 s5@1 s3@1 s3@2 k@0 s3@1 s3@2 d5@3 | 2 3 4 5",
        "m@0 s5@1 d5@2 s5@1 s5@1 d5@3 k@4 s5@1 | 2 3 4 5",
    ),
    "DrNAS_imagenet": (
        "s3@1 s3@0 s3@0 s3@1 s3@0 d3@3 k@0 s3@1 | 2 3 4 5",
        "m@0 s3@1 s3@0 k@2 s3@0 s3@2 s3@3 s3@1 | 2 3 4 5",
    ),
    "SDARTS_RS": (
        "s3@1 s3@0 s5@1 k@0 s3@3 k@1 s3@1 d3@2 | 2 3 4 5",
        "m@0 s3@1 k@2 m@0 d5@3 m@0 s3@2 s5@3 | 2 3 4 5",
    ),
    "SDARTS_ADV": (
        "s3@0 s3@1 s3@1 k@0 s5@0 d3@3 d3@4 k@0 | 2 3 4 5",
        "m@0 s5@1 k@2 m@0 k@3 k@2 k@2 s5@4 | 2 3 4 5",
    ),
    "DARTS_PT_0": (
        "s3@0 s3@1 s5@0 d3@1 k@0 k@2 k@0 m@4 | 2 3 4 5",
        "s3@0 a@1 d5@1 d3@2 a@0 m@2 s3@2 k@4 | 2 3 4 5",
    ),
    "DARTS_PT_1": (
        "s3@0 s3@1 s3@0 d3@1 m@0 k@2 k@0 d3@4 | 2 3 4 5",
        "d5@0 a@1 m@0 s5@2 m@1 d3@3 s5@0 s3@4 | 2 3 4 5",
    ),
    "DARTS_minus": (
        "s3@0 s5@1 s3@1 d3@2 k@1 s3@0 k@1 s3@0 | 2 3 4 5",
        "s3@0 m@1 k@2 m@0 k@2 k@3 k@2 k@3 | 2 3 4 5",
    ),
    "NASNet": (
        "s5@1 s3@0 s5@0 s3@0 a@1 k@0 a@0 a@0 s3@1 k@1 | 2 3 4 5 6",
        "s5@1 s7@0 m@1 s7@0 a@1 s5@0 k@3 a@2 s3@2 m@1 | 4 5 6",
    ),
    "AmoebaNet": (
        "a@0 m@1 s3@0 s5@2 s3@0 a@3 s3@1 k@1 k@0 a@1 | 4 5 6",
        "a@0 s3@1 m@0 s7@2 s7@0 a@1 m@0 m@1 c7@0 s3@5 | 3 4 6",
    ),
    "DARTS_plus": (
        "k@0 s3@1 k@0 s5@2 s3@1 s3@3 s3@2 s3@4 | 2 3 4 5",
        "m@0 k@1 m@0 d5@2 m@0 d5@3 m@0 k@2 | 2 3 4 5",
    ),
}


@pytest.mark.parametrize("name", TRANSCRIBED)
def test_the_cells_are_those_of_the_papers(name: str) -> None:
    wanted = {}
    for kind, text in zip(("normal", "reduce"), TRANSCRIBED[name], strict=True):
        genes, concat = (part.split() for part in text.split("|"))
        pairs = [[SHORT[gene.split("@")[0]], int(gene.split("@")[1])] for gene in genes]
        wanted |= {f"{kind}/{2 + node}": pairs[2 * node : 2 * node + 2] for node in range(len(pairs) // 2)}
        wanted[f"{kind}/concat"] = [int(number) for number in concat]
    assert PUBLISHED[name] == Genotype("darts", {}, wanted)


def test_darts_is_its_second_order_cell_and_nothing_else_is_published() -> None:
    assert PUBLISHED["DARTS"] == PUBLISHED["DARTS_V2"]
    assert set(PUBLISHED) == {*TRANSCRIBED, "DARTS"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_authors_form_and_json_bring_a_cell_back(name: str) -> None:
    genotype = PUBLISHED[name]
    assert parse(write(genotype)) == genotype
    assert parse(f"{name} = {write(genotype)}\n") == genotype
    assert Genotype.from_json(genotype.to_json()) == genotype


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_cell_becomes_a_network_that_learns(name: str) -> None:
    torch.manual_seed(0)
    space = CellSpace(name="darts", operators=[*OPERATORS])
    network = space.network(PUBLISHED[name], Skeleton(channels=4, num_cells=4, num_classes=5))
    logits = network(torch.randn(2, 3, 16, 16))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert len({len(network.backbone.cells[i].nodes) for i in range(4)}) == 1
    assert len(space.graphs(PUBLISHED[name])) == 2
