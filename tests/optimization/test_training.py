"""Training of discrete networks: the loss, the regularization by epoch, and a task that it must learn."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.optimization import Cosine, DiscreteLoss, Exponential, Feed, NonFiniteLossError, Recipe, TrainingRecord, train
from nas.space import DiscreteNetwork, DropPath
from tests.optimization.contracts import assert_same_bits
from tests.optimization.toys import TINY, feed, recipe, tiny_cells


class TwoHeads(DiscreteNetwork):
    """A convolution, a droppable path, a classifier and one auxiliary head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.path = nn.Sequential(nn.Conv2d(4, 4, 1), DropPath())
        self.classifier, self.head = nn.Linear(24, 3), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.training_logits(x)[0]

    def training_logits(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu(self.conv(x))
        x = (x + self.path(x)).mean(dim=3).flatten(1)
        return self.classifier(x), self.head(x)


def made(seed: int = 0) -> TwoHeads:
    torch.manual_seed(seed)
    return TwoHeads()


def trained(
    network: DiscreteNetwork, settings: Recipe, *, train_feed: Feed | None = None, loss: Any = None, **more: Any
) -> list[TrainingRecord]:
    optimizer = settings.optimizer(network.parameters())
    return list(
        train(network, train_feed or feed(1), settings, optimizer, loss or DiscreteLoss(F.cross_entropy), **more)
    )


# recipe


@pytest.mark.parametrize("field", ["epochs", "batch_size"])
@pytest.mark.parametrize("value", [0, -3])
def test_recipe_refuses_what_trains_nothing(field: str, value: int) -> None:
    numbers = {"epochs": 1, "batch_size": 1, field: value}
    with pytest.raises(ValueError, match=rf"^trainer\.{field} is {value}; give at least 1$"):
        Recipe(optimizer=torch.optim.SGD, schedule=Cosine(), **numbers)


def test_recipe_allows_one() -> None:
    settings = Recipe(epochs=1, batch_size=1, optimizer=torch.optim.SGD, schedule=Cosine())
    assert (settings.clip_norm, settings.cutout, settings.autocast) == (None, 0, None)


# the loss


def test_discrete_loss_in_closed_form() -> None:
    """Logits (x, 0) of label 0 have the loss log(1 + exp(-x))."""
    labels = torch.tensor([0, 0])

    def logits(first: float, second: float) -> Tensor:
        return torch.tensor([[first, 0.0], [second, 0.0]], dtype=torch.float32)

    def loss(first: float, second: float) -> float:
        return (math.log1p(math.exp(-first)) + math.log1p(math.exp(-second))) / 2

    heads = (logits(1.0, 2.0), logits(-1.0, 0.5), logits(3.0, 0.0))
    total, main = DiscreteLoss(F.cross_entropy, 0.25)(heads, labels)
    assert float(main) == pytest.approx(loss(1.0, 2.0), rel=1e-6)
    assert float(total) == pytest.approx(loss(1.0, 2.0) + 0.25 * (loss(-1.0, 0.5) + loss(3.0, 0.0)), rel=1e-6)
    total, main = DiscreteLoss(F.cross_entropy)(heads[:2], labels)
    assert float(total) == pytest.approx(loss(1.0, 2.0) + 0.4 * loss(-1.0, 0.5), rel=1e-6)
    total, main = DiscreteLoss(F.cross_entropy)(heads[:1], labels)
    assert float(total) == float(main)


def test_discrete_loss_smooths_labels_with_its_criterion() -> None:
    """Targets (1 - s) * onehot + s / classes (Liu et al., 2019, ImageNet: s = 0.1)."""
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(7, 5, generator=generator), torch.randint(5, (7,), generator=generator)
    targets = 0.9 * F.one_hot(labels, 5) + 0.1 / 5
    wanted = -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()
    total, main = DiscreteLoss(nn.CrossEntropyLoss(label_smoothing=0.1))((logits, logits), labels)
    assert float(main) == pytest.approx(float(wanted), rel=1e-6)
    assert float(total) == pytest.approx(1.4 * float(wanted), rel=1e-6)


def test_only_the_whole_loss_carries_a_gradient_and_it_reaches_every_head() -> None:
    logits = [torch.zeros(2, 3, requires_grad=True) for _ in range(2)]
    total, main = DiscreteLoss(F.cross_entropy, 0.4)(tuple(logits), torch.tensor([0, 1]))
    assert not main.requires_grad
    total.backward()
    torch.testing.assert_close(logits[1].grad, 0.4 * logits[0].grad)


def test_discrete_loss_of_bfloat16_logits_is_computed_in_float32() -> None:
    kinds = []

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        kinds.append(logits.dtype)
        return F.cross_entropy(logits, labels)

    logits = torch.zeros(2, 3, dtype=torch.bfloat16)
    DiscreteLoss(criterion)((logits, logits), torch.tensor([0, 1]))
    assert kinds == [torch.float32, torch.float32]


# training


def by_hand(settings: Recipe, rates: list[float], loss: Any) -> tuple[DiscreteNetwork, list[tuple[float, float]]]:
    """The loop written out: (network, (mean main loss, accuracy) of every epoch)."""
    network, source, records = made(), feed(1), []
    optimizer = settings.optimizer(network.parameters())
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        losses, hits = [], []
        for _ in range(source.steps):
            images, labels = next(source.stream)
            logits, auxiliary = network.training_logits(images)
            optimizer.zero_grad()
            (loss(logits, labels) + 0.3 * loss(auxiliary, labels)).backward()
            if settings.clip_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
            optimizer.step()
            losses.append(loss(logits.detach(), labels).item())
            hits += (logits.argmax(dim=1) == labels).tolist()
        records.append((sum(losses) / len(losses), sum(hits) / len(hits)))
    return network, records


@pytest.mark.parametrize("clip_norm", [None, 0.2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_training_is_the_loop_written_out(smoothing: float, clip_norm: float | None) -> None:
    settings = recipe(3, schedule=Exponential(factor=0.5), clip_norm=clip_norm)
    criterion = nn.CrossEntropyLoss(label_smoothing=smoothing)
    network = made()
    records = trained(network, settings, loss=DiscreteLoss(criterion, 0.3))
    wanted, figures = by_hand(settings, [0.05, 0.025, 0.0125], criterion)
    assert_same_bits(network.state_dict(), wanted.state_dict())
    for epoch, (record, (loss, accuracy)) in enumerate(zip(records, figures, strict=True)):
        assert record.epoch == epoch
        assert record.seconds > 0
        assert (record.train_loss, record.train_accuracy) == (pytest.approx(loss, rel=1e-6), pytest.approx(accuracy))


def test_auxiliary_weight_zero_leaves_the_head_untrained() -> None:
    network = made()
    trained(network, recipe(1, optimizer=lambda w: torch.optim.SGD(w, lr=0.1)), loss=DiscreteLoss(F.cross_entropy, 0.0))
    assert_same_bits(network.head.state_dict(), made().head.state_dict())
    assert not torch.equal(network.classifier.weight, made().classifier.weight)


@pytest.mark.parametrize(("epochs", "wanted"), [(4, [0.0, 0.05, 0.1, 0.15]), (1, [0.0])])
def test_drop_path_rises_linearly(epochs: int, wanted: list[float]) -> None:
    """p * epoch / epochs (DARTS: p = 0.2; of 600 epochs, 150 has 0.05 and 300 has 0.1): the quarters of 4 epochs."""
    network, seen = made(), []

    def on_step() -> None:
        seen.append(network.path[1].probability)

    trained(network, recipe(epochs), train_feed=feed(1, steps=2), drop_path=0.2, on_step=on_step)
    assert seen == pytest.approx([probability for probability in wanted for _ in range(2)])


def test_drop_path_reaches_every_droppable_operator_of_a_cell_network() -> None:
    space = tiny_cells()
    network = space.network(space.sample(torch.Generator().manual_seed(0)), TINY)
    trained(network, recipe(2), drop_path=0.6)
    paths = [module for module in network.modules() if isinstance(module, DropPath)]
    assert paths
    assert {path.probability for path in paths} == {0.3}


def test_training_runs_in_training_mode_even_after_an_evaluation() -> None:
    network, modes = made(), []
    settings = recipe(2)
    steps = train(
        network,
        feed(1),
        settings,
        settings.optimizer(network.parameters()),
        DiscreteLoss(F.cross_entropy),
        on_step=lambda: modes.append(network.training),
    )
    for _ in steps:
        network.eval()
    assert modes == [True] * 6


@pytest.mark.parametrize("cells", [False, True])
def test_learns_an_easy_task(cells: bool) -> None:
    torch.manual_seed(0)
    space = tiny_cells()
    network = space.network(space.sample(torch.Generator().manual_seed(1)), TINY) if cells else made()
    records = trained(network, recipe(10, rate=0.1), train_feed=feed(1, count=60, size=16, steps=8))
    assert records[0].train_loss > 0.3
    assert records[-1].train_loss < 0.3 * records[0].train_loss
    assert records[-1].train_accuracy > 0.95


def test_same_seed_same_training_and_another_seed_another() -> None:
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        space = tiny_cells()
        network = space.network(space.sample(torch.Generator().manual_seed(1)), TINY)
        records = trained(network, recipe(2), drop_path=0.5)
        runs.append(([(record.train_loss, record.train_accuracy) for record in records], network.state_dict()))
    assert_same_bits(runs[0], runs[1])
    assert runs[0][0] != runs[2][0]


def test_non_finite_loss_names_its_epoch_and_yields_no_record() -> None:
    good = feed(1)

    def stream() -> Iterator[tuple[Tensor, Tensor]]:
        for number, (pixels, labels) in enumerate(good.stream):
            yield (pixels * math.nan if number == 4 else pixels), labels

    network, settings = made(), recipe(3)
    optimizer = settings.optimizer(network.parameters())
    records = train(network, Feed(stream(), 3, good.in_order), settings, optimizer, DiscreteLoss(F.cross_entropy))
    assert next(records).epoch == 0
    with pytest.raises(NonFiniteLossError, match="training loss became nan in epoch 1"):
        next(records)


def test_training_under_bfloat16_stays_near_float32() -> None:
    """Three steps of bfloat16 (8 bits of mantissa) stay within 2 % of the loss; the weights stay float32."""
    figures = []
    for autocast in (None, torch.bfloat16):
        network = made()
        figures.append(trained(network, recipe(1, autocast=autocast))[0].train_loss)
        assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert figures[1] == pytest.approx(figures[0], rel=0.02)
    assert figures[1] != figures[0]


def test_record_is_plain_data() -> None:
    record = TrainingRecord(3, 0.5, 0.25, 1.5)
    assert record.to_dict() == {"epoch": 3, "train_loss": 0.5, "train_accuracy": 0.25, "seconds": 1.5}
    assert list(record.to_dict()) == ["epoch", "train_loss", "train_accuracy", "seconds"]
    assert copy.copy(record) == record
