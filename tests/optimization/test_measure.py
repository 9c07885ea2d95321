"""Mean losses and accuracies against direct sums over all images."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.optimization import NonFiniteLossError, evaluate
from nas.optimization.measure import Meter, require_finite

SIZES = (5, 1, 8, 3)


def batches(seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Unequal batches of images (N, 4), which are their own logits, and labels."""
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(n, 4, generator=generator), torch.randint(4, (n,), generator=generator)) for n in SIZES]


def by_hand() -> tuple[float, float]:
    """(mean loss, accuracy) image by image, in Python floats."""
    loss, hits = 0.0, 0
    for images, labels in batches():
        for logits, label in zip(images.tolist(), labels.tolist(), strict=True):
            loss += math.log(sum(math.exp(one) for one in logits)) - logits[label]
            hits += max(range(4), key=logits.__getitem__) == label
    return loss / sum(SIZES), hits / sum(SIZES)


def test_meter_weighs_images_not_batches() -> None:
    meter = Meter()
    for images, labels in batches():
        meter.add(F.cross_entropy(images, labels), images, labels)
    loss, accuracy = by_hand()
    assert meter.read() == (pytest.approx(loss, rel=1e-6), accuracy)
    assert meter.read() == meter.read()


def test_meter_counts_in_float64() -> None:
    """2^24 + 1 is no float32: a sum of many batches would stand still there."""
    meter = Meter()
    labels = torch.zeros(1, dtype=torch.int64)
    for loss in (2.0**24, 1.0, 1.0, 0.0):
        meter.add(torch.tensor(loss), torch.tensor([[1.0, 0.0]]), labels)
    assert meter.read() == ((2**24 + 2) / 4, 1.0)


def test_evaluate_is_the_mean_over_all_images() -> None:
    loss, accuracy = by_hand()
    assert evaluate(lambda images: images, batches(), F.cross_entropy) == (pytest.approx(loss, rel=1e-6), accuracy)


def test_evaluate_uses_the_criterion() -> None:
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.3)
    whole = [torch.cat(parts) for parts in zip(*batches(), strict=True)]
    loss, _ = evaluate(lambda images: images, batches(), smoothed)
    assert loss == pytest.approx(float(smoothed(*whole)), rel=1e-6)
    assert abs(loss - by_hand()[0]) > 0.01


def test_evaluate_leaves_no_graph() -> None:
    layer, seen = nn.Linear(4, 4), []

    def predict(images: Tensor) -> Tensor:
        seen.append(layer(images))
        return seen[-1]

    evaluate(predict, batches(), F.cross_entropy)
    assert len(seen) == len(SIZES)
    assert not any(logits.requires_grad for logits in seen)


def test_evaluate_under_autocast_computes_the_loss_in_float32() -> None:
    layer, kinds = nn.Linear(4, 4), set()

    def predict(images: Tensor) -> Tensor:
        logits = layer(images)
        kinds.add(logits.dtype)
        return logits

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        kinds.add(logits.dtype)
        return F.cross_entropy(logits, labels)

    loss, _ = evaluate(predict, batches(), criterion, autocast=torch.bfloat16)
    assert kinds == {torch.bfloat16, torch.float32}
    wanted, _ = evaluate(layer, batches(), F.cross_entropy)
    assert loss == pytest.approx(wanted, abs=0.02)  # bfloat16 keeps 8 bits: 0.4 %
    assert loss != wanted


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_loss_is_named_with_its_epoch(value: float) -> None:
    require_finite(6, training_loss=1.0, validation_loss=-3.0)
    with pytest.raises(NonFiniteLossError, match=rf"^the validation loss became {value} in epoch 7$") as caught:
        require_finite(7, training_loss=1.0, validation_loss=value)
    assert (caught.value.name, caught.value.epoch) == ("validation loss", 7)
    assert str(caught.value.value) == str(value)
