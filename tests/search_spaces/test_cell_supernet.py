"""Supernets of cells against slow sums and against freshly built networks."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nas.architecture import ArchParameters, Genotype, Mixture
from nas.relaxation import Softmax
from nas.space import DropPath, Skeleton
from search_spaces.cells import CellSpace
from tests.contracts import EXACT, draws, random_images
from tests.search_spaces import slow
from tests.search_spaces.spaces import DARTS_OPERATORS, darts, pc_darts


def random_mixture(space: CellSpace, seed: int = 0) -> Mixture:
    """The softmax of standard normal alphas."""
    alphas = ArchParameters(space.choices, scale=1.0, generator=torch.Generator().manual_seed(seed)).double()
    return alphas.mixture(Softmax().mean)


@pytest.mark.parametrize(
    "space",
    [darts(num_nodes=3), pc_darts(2, num_nodes=3), darts(num_nodes=2, edge_normalization=True)],
    ids=["darts", "pc_darts", "weighed_inputs"],
)
def test_a_search_cell_is_the_double_sum_of_the_paper(space: CellSpace) -> None:
    torch.manual_seed(0)
    supernet = space.supernet(Skeleton(channels=4, num_cells=3)).double()
    mixture, x = random_mixture(space), random_images(2, 3, 8, 8)
    s0, s1 = supernet.stem(x)
    for cell, kind in zip(supernet.cells, ("normal", "reduce", "reduce"), strict=True):
        states = [cell.preprocess[0](s0), cell.preprocess[1](s1)]
        for j in range(2, space.num_nodes + 2):
            node = 0.0
            for i in range(j):
                y = 0.0
                edge, halved = cell.edges[f"{i}-{j}"], kind == "reduce" and i < 2
                part = states[i][:, : states[i].shape[1] // space.partial_channels]
                operators = edge.mixed.operators if space.partial_channels > 1 else edge.operators
                for weight, operator in zip(mixture[f"{kind}/{i}-{j}/op"], operators, strict=True):
                    y = y + weight * operator(part)
                if space.partial_channels == 2:
                    rest = states[i][:, states[i].shape[1] // 2 :]
                    rest = nn.MaxPool2d(2)(rest) if halved else rest
                    y = torch.stack([y, rest], dim=2).flatten(1, 2)
                node = node + (mixture[f"{kind}/{j}/input"][i] if space.edge_normalization else 1.0) * y
            states.append(node)
        wanted = torch.cat(states[2:], dim=1)
        assert_close(cell(s0, s1, mixture), wanted, **EXACT)
        s0, s1 = s1, wanted
    assert_close(supernet(x, mixture), supernet.classifier(s1.mean(dim=(2, 3))), **EXACT)


def test_equal_input_weights_are_darts_up_to_their_size() -> None:
    # specs/darts.md, 2.4: K = 1 and beta = 0 is DARTS but for the edge scale 1/n, which n = 2 makes 1/2
    torch.manual_seed(0)
    plain, weighed = darts(num_nodes=1), darts(num_nodes=1, edge_normalization=True)
    supernet, twin = (space.supernet(Skeleton(channels=4, num_cells=1)).double() for space in (plain, weighed))
    twin.load_state_dict(supernet.state_dict())
    alphas = ArchParameters(weighed.choices)
    with torch.no_grad():
        for table in ("normal/2/input", "reduce/2/input"):
            alphas.tables[table].zero_()
    mixture, x = alphas.double().mixture(Softmax().mean), random_images(2, 3, 8, 8)
    assert_close(twin.features(x, mixture)[0], supernet.features(x, mixture)[0] / 2, **EXACT)


def without_pools(space: CellSpace) -> Iterator[Genotype]:
    """Genotypes whose supernet and discrete forms agree: the norm behind a pool is in the supernet alone."""
    kept = [operator for operator in space.operators if "pool" not in operator]
    settings = {"num_nodes": space.num_nodes, "edge_normalization": space.edge_normalization}
    return iter(draws(CellSpace(name=space.name, operators=kept, **settings), 3))


def copy_weights(space: CellSpace, supernet: nn.Module, network: nn.Module, genotype: Genotype) -> None:
    """Copies what a genotype keeps, place by place; the scales and shifts of a new network are 1 and 0."""

    def copy(source: nn.Module, target: nn.Module) -> None:
        for given, taken in zip(slow.weights_of(source), slow.weights_of(target), strict=True):
            taken.data.copy_(given)

    copy(supernet.stem, network.backbone.stem)
    copy(supernet.classifier, network.backbone.classifier)
    network.backbone.classifier.load_state_dict(supernet.classifier.state_dict())
    for mixed, cell in zip(supernet.cells, network.backbone.cells, strict=True):
        copy(mixed.preprocess[0], cell.preprocess[0])
        copy(mixed.preprocess[1], cell.preprocess[1])
        for number, node in enumerate(cell.nodes, start=2):
            genes = genotype.decisions[f"{mixed.kind}/{number}"]
            for (operator, source), target in zip(genes, node.operators, strict=True):
                copy(mixed.edges[f"{source}-{number}"].operators[space.operators.index(operator)], target)


@pytest.mark.parametrize(
    ("space", "skeleton", "images"),
    [
        (darts(), Skeleton(channels=4, num_cells=3), (2, 3, 8, 8)),
        (darts(num_nodes=2), Skeleton(channels=6, num_cells=6, in_channels=1), (2, 1, 15, 15)),
        (darts(operators=DARTS_OPERATORS[3:], num_nodes=2), Skeleton(channels=4, num_cells=2), (2, 3, 7, 6)),
        (pc_darts(1, num_nodes=3), Skeleton(channels=4, num_cells=4), (2, 3, 8, 8)),
        (darts(num_nodes=2), Skeleton(channels=4, num_cells=3, stem="imagenet"), (4, 3, 40, 40)),
    ],
    ids=["darts", "odd", "without_none", "weighed_inputs", "imagenet"],
)
def test_a_new_network_with_the_weights_of_the_supernet_equals_it(
    space: CellSpace, skeleton: Skeleton, images: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    supernet, x = space.supernet(skeleton).double(), random_images(*images)
    for genotype in without_pools(space):
        network = space.network(genotype, skeleton).double().train()
        copy_weights(space, supernet, network, genotype)
        with torch.no_grad():
            assert_close(network(x), supernet(x, space.selection(genotype)), **EXACT)


def test_the_decisions_of_one_kind_of_cell_do_not_touch_the_other() -> None:
    torch.manual_seed(0)
    space, x = darts(num_nodes=2), random_images(2, 3, 8, 8)
    supernet = space.supernet(Skeleton(channels=4, num_cells=3)).double()
    first, second = (space.selection(genotype) for genotype in draws(space, 2))
    crossed = Mixture(first.layout, {**first.tables, "reduce/op": second.tables["reduce/op"]})
    outputs = [supernet.features(x, mixture) for mixture in (first, crossed)]
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert not torch.isclose(outputs[0][1], outputs[1][1]).all()


def test_a_network_cut_out_of_partial_channels_keeps_them_partial() -> None:
    torch.manual_seed(0)
    space = pc_darts(4, num_nodes=1, operators=["none", "skip_connect"])
    supernet = space.supernet(Skeleton(channels=8, num_cells=1)).double()
    network = space.inherited(supernet, draws(space, 1)[0])
    cell, s = network.backbone.cells[0], random_images(2, 24, 6, 6)
    assert cell.concat == (2,)
    states = [preprocess(s) for preprocess in cell.preprocess]
    processed = [supernet.cells[0].edges[f"{i}-2"].mixed.operators[1](states[i][:, :4]) for i in range(2)]
    rest = [nn.MaxPool2d(2)(state[:, 4:]) for state in states]
    parts: list[Tensor] = [torch.cat(pair, dim=1) for pair in zip(processed, rest, strict=True)]
    order = [group * 4 + position for position in range(4) for group in range(4)]
    assert_close(cell(s, s), (parts[0] + parts[1])[:, order], **EXACT)
    assert any(isinstance(module, DropPath) for module in cell.modules())
