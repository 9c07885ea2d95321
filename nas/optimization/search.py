"""The bilevel search loop."""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from nas.architecture import EpochRecord
from nas.optimization.bilevel import BilevelOptimizer
from nas.optimization.feed import Feed
from nas.optimization.measure import evaluate, require_finite
from nas.optimization.progress import Progress, random_states
from nas.optimization.recipe import Recipe
from nas.optimization.schedule import set_rate
from nas.optimization.skipping import skipping_bilevel_step
from nas.space import SearchSpace


def search(
    space: SearchSpace,
    bilevel: BilevelOptimizer,
    train: Feed,
    valid: Feed,
    recipe: Recipe,
    *,
    progress: Progress | None = None,
    warmup_epochs: int = 0,
    on_step: Callable[[], None] = lambda: None,
) -> Iterator[EpochRecord]:
    """Yields one record an epoch: stop early by leaving the loop, log in its body.

    It begins where `progress` stands, by default at the first step of all, and moves it before `on_step` and before
    each record.

    Each step of an epoch moves the alphas on a batch of `valid` (not in the first `warmup_epochs`), then the weights on
    a batch of `train`. After the epoch the mean mixture is measured on all of `valid`, in order. With several ranks,
    those of `bilevel.objective`, the feeds give the rows and batches of this one, and the records are equal on all but
    for the seconds.

    Raises:
        DisagreementError: alphas, weights or random states that are not equal on all ranks at an epoch's end.
        NonFiniteLossError: a loss, alphas or weights that are NaN or infinite; on the CPU at the step, on a GPU at the
            epoch's end. With `recipe.skips` an epoch of such steps alone.
    """
    if progress is None:
        late = next(bilevel.arch.parameters()).device.type != "cpu"
        progress = Progress(bilevel.objective.ranks, late=late)
    if progress.step == 0:  # within an epoch each rank has buffers of its own
        _require_agreement(bilevel, "before the first step")
    while (epoch := progress.epoch) < recipe.epochs:
        start = time.perf_counter()
        bilevel.relaxation.anneal(epoch / max(recipe.epochs - 1, 1))
        set_rate(bilevel.weight_optimizer, recipe.schedule, epoch, recipe.epochs)
        with_arch = epoch >= warmup_epochs
        _train(bilevel, train, valid, progress, with_arch=with_arch, skips=recipe.skips, on_step=on_step)
        progress.require_finite(bilevel.objective.supernet.parameters(), bilevel.arch.parameters())
        train_loss, train_accuracy = progress.measured()
        bilevel.objective.average_buffers()
        _require_agreement(bilevel, f"after epoch {epoch}")
        valid_loss, valid_accuracy = _validate(bilevel, valid)
        require_finite(epoch, validation_loss=valid_loss)
        budget, mixture = bilevel.budget, bilevel.mean_mixture()
        genotype = space.derive(mixture) if budget is None else budget.derive(space, mixture)
        progress.end_epoch()
        yield EpochRecord(
            epoch=epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            valid_loss=valid_loss,
            valid_accuracy=valid_accuracy,
            alphas={name: alphas.tolist() for name, alphas in bilevel.arch.named()},
            genotype=genotype,
            budget={} if budget is None else budget.standing(space, genotype, mixture),
            seconds=time.perf_counter() - start,
        )


def _train(
    bilevel: BilevelOptimizer,
    train: Feed,
    valid: Feed,
    progress: Progress,
    *,
    with_arch: bool,
    skips: bool,
    on_step: Callable[[], None],
) -> None:
    bilevel.objective.supernet.train()
    moved = list(bilevel.arch.parameters()) if with_arch else []
    while progress.step < train.steps:
        batch = next(train.stream)
        valid_batch = next(valid.stream) if with_arch else None
        if skips:
            measured = skipping_bilevel_step(bilevel, batch, valid_batch, progress.next_step)
        else:
            if valid_batch is not None:
                bilevel.arch_step(batch, valid_batch)
            measured = bilevel.weight_step(batch)
        progress.add(measured, batch[1], moved)
        on_step()


def _validate(bilevel: BilevelOptimizer, valid: Feed) -> tuple[float, float]:
    objective, mixture = bilevel.objective, bilevel.mean_mixture()
    objective.supernet.eval()

    def predict(images: Tensor) -> Tensor:
        return objective.supernet(images, mixture)

    batches, autocast = valid.in_order(), objective.autocast
    with torch.compiler.set_stance("eager_on_recompile"):  # no program of its own for a last, smaller batch
        return evaluate(predict, batches, objective.criterion, autocast=autocast, ranks=objective.ranks)


def _require_agreement(bilevel: BilevelOptimizer, when: str) -> None:
    """Alphas and weights that are equal on all ranks, and random states, without which mixtures would differ."""
    alphas, weights = bilevel.arch.state_dict().values(), bilevel.objective.supernet.state_dict().values()
    random = random_states(next(iter(alphas)).device).values()
    bilevel.objective.ranks.require_agreement(when, alphas=alphas, weights=weights, random_states=random)
