"""The edges of a cell as torch.compile sees them: one graph without breaks, the same numbers."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nas.architecture import ArchParameters, Mixture
from nas.relaxation import Softmax
from nas.space import Skeleton
from search_spaces.cells import CellSpace
from tests.contracts import random_images
from tests.search_spaces.spaces import DARTS_OPERATORS, darts, pc_darts

# warnings of torch's own tracing, which users never see but of which pytest makes errors
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

ONE_CELL = Skeleton(channels=4, num_cells=1)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """No program of another test counts."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def gradients(supernet: nn.Module, mixture: Mixture, *, bf16: bool) -> list[Tensor]:
    """Logits and the gradients of weights and mixture."""
    mixture = mixture.as_leaves()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = supernet(random_images(4, 3, 8, 8).float(), mixture)
    wanted = [*supernet.parameters(), *mixture.tables.values()]
    return [logits.detach(), *torch.autograd.grad(logits.square().sum(), wanted, materialize_grads=True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "bf16"),
    [
        pytest.param(darts(num_nodes=1), False, id="darts in float32"),
        pytest.param(pc_darts(k=2, num_nodes=2, operators=DARTS_OPERATORS[3:6]), True, id="pc_darts in bf16"),
    ],
)
def test_edges_are_one_graph_with_the_same_gradients(space: CellSpace, bf16: bool) -> None:
    """`fullgraph` refuses graph breaks; `aot_eager` traces the backward pass too and runs it as PyTorch's own kernels.

    Under autocast it is traced as if inside, where the sums of squares of a batch norm would be rounded to bf16 (20 %).
    """
    torch.manual_seed(0)
    supernet, arch = space.supernet(ONE_CELL), ArchParameters(space.choices, scale=1.0)
    mixture = arch.mixture(Softmax().mean)
    wanted = gradients(supernet, mixture, bf16=bf16)
    supernet.cells[0].batched.compile(dynamic=False, fullgraph=True, backend="aot_eager")
    found = gradients(supernet, mixture, bf16=bf16)
    assert_close(found, wanted, rtol=1e-4, atol=1e-4)
