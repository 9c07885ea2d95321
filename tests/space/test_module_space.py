"""A search space made of a user's own module."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nas.architecture import ChoiceTables, Edge, Genotype, Mixture, selection
from nas.space import ModuleSpace, SearchSpace, Skeleton
from nas.supernet import MixedOp, PartialChannels
from tests.contracts import EXACT, SpaceContract, draws, random_images


def mixed(channels: int, stride: int = 1) -> MixedOp:
    return MixedOp(
        {
            "conv_1x1": nn.Conv2d(channels, channels, 1, stride),
            "conv_3x3": nn.Conv2d(channels, channels, 3, stride, padding=1),
            "pool": nn.AvgPool2d(3, stride, padding=1),
        }
    )


class Block(nn.Module):
    """A mixed module below the top, and a plain one beside it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = PartialChannels(mixed(channels // 2, stride=2), k=2)
        self.scale = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return self.scale(torch.tanh(self.conv(x, weights)))


class UserNetwork(nn.Module):
    """Mixed modules at the top, in a block, and in a list of lists."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.stem = nn.Conv2d(skeleton.in_channels, skeleton.channels, 3, padding=1)
        self.first = mixed(skeleton.channels)
        self.block = Block(skeleton.channels)
        self.rows = nn.ModuleList([nn.ModuleList([mixed(skeleton.channels)]), nn.ModuleList([nn.Tanh()])])
        self.classifier = nn.Linear(skeleton.channels, skeleton.num_classes)

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        x = torch.tanh(self.first(self.stem(x), mixture["first/op"]))
        x = self.block(x, mixture["block/conv/op"])
        x = self.rows[1][0](self.rows[0][0](x, mixture["rows/0/0/op"]))
        return self.classifier(x.mean(dim=(2, 3)))


def user_space() -> ModuleSpace:
    return ModuleSpace("mine", UserNetwork)


class TestModuleSpace(SpaceContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return user_space()


class TestModuleSpaceAtOddSizes(SpaceContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return user_space()

    @pytest.fixture
    def skeleton(self) -> Skeleton:
        return Skeleton(channels=6, num_classes=3, in_channels=1)

    @pytest.fixture
    def images(self) -> Tensor:
        return random_images(2, 1, 7, 5)


def test_choices_are_called_after_the_places_of_their_modules() -> None:
    space = user_space()
    assert [choice.name for choice in space.choices] == ["first/op", "block/conv/op", "rows/0/0/op"]
    assert {choice.candidates for choice in space.choices} == {("conv_1x1", "conv_3x3", "pool")}
    assert {choice.kind for choice in space.choices} == {"op"}


def test_the_network_computes_what_its_decisions_say() -> None:
    torch.manual_seed(0)
    space, x = user_space(), random_images(2, 3, 6, 6)
    supernet = UserNetwork(Skeleton(channels=4)).double()
    genotype = Genotype("mine", {}, {"first/op": "pool", "block/conv/op": "conv_3x3", "rows/0/0/op": "conv_1x1"})
    # step by step, with the modules of the supernet
    y = torch.tanh(nn.AvgPool2d(3, 1, padding=1)(supernet.stem(x)))
    part = supernet.block.conv.mixed.operators[1](y[:, :2])
    rest = nn.MaxPool2d(2)(y[:, 2:])
    y = torch.stack([part[:, 0], rest[:, 0], part[:, 1], rest[:, 1]], dim=1)
    y = supernet.rows[0][0].operators[0](supernet.block.scale(torch.tanh(y)))
    wanted = supernet.classifier(torch.tanh(y).mean(dim=(2, 3)))
    assert_close(space.inherited(supernet, genotype)(x), wanted, **EXACT)
    assert_close(supernet(x, space.selection(genotype)), wanted, **EXACT)


def test_the_largest_weight_decides_and_the_first_wins_a_tie() -> None:
    space = user_space()
    mixture = space.selection(draws(space, 1)[0])
    mixture.tables["first/op"] = torch.tensor([[0.2, 0.3, 0.5]])
    mixture.tables["block/conv/op"] = torch.tensor([[0.2, 0.4, 0.4]])
    mixture.tables["rows/0/0/op"] = torch.tensor([[0.1, 0.1, 0.1]])
    wanted = {"first/op": "pool", "block/conv/op": "conv_3x3", "rows/0/0/op": "conv_1x1"}
    assert space.derive(mixture) == Genotype("mine", {}, wanted)


def test_looking_for_choices_does_not_draw_from_the_global_generator() -> None:
    random_state = torch.get_rng_state()
    user_space()
    assert torch.equal(torch.get_rng_state(), random_state)


def test_a_module_without_choices_is_refused() -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        ModuleSpace("mine", lambda skeleton: nn.Sequential(nn.Linear(1, 1)))
    assert str(error.value) == "the module of space 'mine' holds no mixed module: put in at least one, say a MixedOp"


@pytest.mark.parametrize(
    "decisions",
    [
        {"first/op": "pool"},
        {"first/op": "pool", "block/conv/op": "pool", "rows/0/1/op": "pool"},
        {"first/op": "pool", "block/conv/op": "pool", "rows/0/0/op": "pool", "more/op": "pool"},
    ],
)
def test_a_genotype_of_another_space_is_refused(decisions: dict[str, str]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        user_space().selection(Genotype("mine", {}, decisions))
    assert str(error.value) == (
        f"the genotype decides {', '.join(decisions)}, but space 'mine' has the choices first/op, block/conv/op, "
        "rows/0/0/op; use the space that it was derived from"
    )


def test_a_decision_that_is_no_candidate_is_refused() -> None:
    genotype = Genotype("mine", {}, {"first/op": "fly", "block/conv/op": "pool", "rows/0/0/op": "pool"})
    for use in (user_space().selection, lambda g: user_space().network(g, Skeleton())):
        with pytest.raises(ValueError, match=r"^choice 'first/op' has no candidate 'fly'; it has \('conv_1x1', "):
            use(genotype)


def test_numbers_are_candidates_too() -> None:
    class Widths(MixedOp):
        kind = "width"

        @property
        def candidates(self) -> tuple[int, ...]:
            return (4, 8)

        def select(self, candidate: object) -> nn.Module:
            return self.operators[self.candidates.index(int(str(candidate)))]

    class Net(nn.Module):
        def __init__(self, skeleton: Skeleton) -> None:
            super().__init__()
            self.a = Widths({"narrow": nn.Identity(), "wide": nn.Tanh()})

        def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
            return self.a(x, mixture["a/width"])

    space = ModuleSpace("widths", Net)
    genotype = Genotype.from_json(Genotype("widths", {}, {"a/width": 8}).to_json())
    assert space.derive(space.selection(genotype)) == genotype
    x = torch.ones(1, 2)
    assert torch.equal(space.network(genotype, Skeleton())(x), torch.tanh(x))


def test_the_picture_is_a_chain_of_the_decisions() -> None:
    decisions = {"first/op": "pool", "block/conv/op": "conv_3x3", "rows/0/0/op": "conv_1x1"}
    (graph,) = user_space().graphs(Genotype("mine", {}, decisions))
    assert graph.title.startswith("mine: ")
    assert "how they are connected is not known" in graph.title
    assert graph.edges == (
        Edge("x", "first/op", "pool"),
        Edge("first/op", "block/conv/op", "conv_3x3"),
        Edge("block/conv/op", "rows/0/0/op", "conv_1x1"),
        Edge("rows/0/0/op", "logits"),
    )


def test_a_mixture_of_other_names_fits_no_module() -> None:
    space = user_space()
    other = ModuleSpace("other", lambda skeleton: nn.Sequential(mixed(2)))
    mixture = selection(ChoiceTables(other.choices), {"0/op": ("pool",)})
    with pytest.raises(KeyError, match=r"there is no choice 'first/op'; the choices are 0/op"):
        space.derive(mixture)


def test_a_mixed_module_at_two_places_is_one_choice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = MixedOp({"relu": nn.ReLU(), "conv": nn.Conv2d(3, 3, 1)})
            self.b = self.a

        def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
            return self.b(self.a(x, mixture["a/op"]), mixture["a/op"]).mean(dim=(2, 3))

    space = ModuleSpace("twice", lambda skeleton: Twice())
    assert [choice.name for choice in space.choices] == ["a/op"]
    network = space.network(Genotype("twice", {}, {"a/op": "relu"}), Skeleton())
    assert list(network.parameters()) == []
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(network(x), x.relu().mean(dim=(2, 3)))
