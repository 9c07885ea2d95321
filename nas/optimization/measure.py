"""Mean losses and accuracies, read from the device once."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from nas.optimization.objective import Batch, Criterion, at_least_float32
from nas.parallel import ALONE, Ranks
from nas.reading import require_count, require_form, require_keys


class Meter:
    """Sums of losses and hits over batches, kept on the device, and over ranks when they are read."""

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self._ranks = ranks
        self._sums: Tensor | None = None
        self._images = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Adds a batch: its mean loss, its logits (N, classes) and its labels (N,)."""
        hits = (logits.argmax(dim=1) == labels).sum()
        sums = torch.stack([loss.double() * len(labels), hits.double()])
        self._sums = sums if self._sums is None else self._sums.to(sums.device) + sums
        self._images += len(labels)

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return self._images == 0

    def clear(self) -> None:
        """Forgets all batches."""
        self._sums, self._images = None, 0

    def state_dict(self) -> dict[str, Any]:
        """What this rank has added so far; waits for the device."""
        return {"sums": None if self._sums is None else self._sums.cpu(), "images": self._images}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from `state_dict`; a ValueError for another form."""
        require_keys(state, self.state_dict(), "meter")
        require_count(state["images"], "meter['images']")
        if state["images"]:
            require_form(state["sums"], torch.zeros(2, dtype=torch.float64), "meter['sums']")
        elif state["sums"] is not None:
            raise ValueError("meter has sums of no images")
        self._sums, self._images = state["sums"], state["images"]

    def read(self) -> tuple[float, float]:
        """(mean loss, accuracy in [0, 1]) over all images of all ranks so far; waits for the device."""
        own = torch.zeros(2, dtype=torch.float64) if self._sums is None else self._sums.cpu()
        loss, hits, images = self._ranks.total(torch.cat([own, own.new_tensor([self._images])])).tolist()
        assert images > 0
        return loss / images, hits / images


def evaluate(
    predict: Callable[[Tensor], Tensor],
    batches: Iterable[Batch],
    criterion: Criterion,
    *,
    autocast: torch.dtype | None = None,
    ranks: Ranks = ALONE,
) -> tuple[float, float]:
    """(mean loss, accuracy) of `predict`, a map of images to logits, without gradients.

    With several `ranks` over the batches of all of them, which may be none on some.
    """
    meter = Meter(ranks)
    with torch.no_grad():
        for images, labels in batches:
            with torch.autocast(images.device.type, dtype=autocast, enabled=autocast is not None):
                logits = predict(images)
            logits = at_least_float32(logits)
            meter.add(criterion(logits, labels), logits, labels)
    return meter.read()


class NonFiniteLossError(RuntimeError):
    """A loss, or what follows from it, became NaN or infinite in an epoch; in its `step`-th step, where that is known.

    What was kept before is good: no state is kept after such a step.
    """

    def __init__(self, name: str, value: float, epoch: int, step: int | None = None) -> None:
        super().__init__(f"the {name} became {value} in epoch {epoch}{'' if step is None else f', step {step}'}")
        self.name = name
        self.value = value
        self.epoch = epoch
        self.step = step


def require_finite(epoch: int, **losses: float) -> None:
    """Raises a NonFiniteLossError that names the first loss which is NaN or infinite."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise NonFiniteLossError(name.replace("_", " "), value, epoch)
