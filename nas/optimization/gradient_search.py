"""Search by gradients: relaxation, bilevel optimizer and alpha optimizer put together."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from nas.architecture import ArchParameters, CandidateRecord, EpochRecord, Mixture
from nas.optimization.bilevel import BilevelOptimizer
from nas.optimization.budget import Budget
from nas.optimization.compilation import compile_search
from nas.optimization.feed import Feed
from nas.optimization.graphs import CudaGraphs
from nas.optimization.loading import load_module, load_optimizer
from nas.optimization.method import SearchMethod, SearchProcess
from nas.optimization.objective import Objective
from nas.optimization.progress import Progress, random_states, set_random_states
from nas.optimization.recipe import Recipe
from nas.optimization.recorded import Recorded
from nas.optimization.search import search
from nas.optimization.skipping import require_skippable
from nas.parallel import ALONE, Ranks
from nas.reading import require_form
from nas.relaxation import Relaxation
from nas.space import SearchSpace, Skeleton
from nas.supernet import calibrate


class GradientSearch(SearchMethod):
    """Differentiable search (DARTS, Liu et al., 2019), data-parallel where there are several ranks.

    `bilevel` makes the bilevel optimizer from (objective, arch, relaxation, weight_optimizer, arch_optimizer),
    clip_norm and budget; `arch_optimizer` makes the alphas' optimizer from them. The first `arch_warmup` of the epochs,
    a share in [0, 1) rounded down, train weights only. Alphas start as `alpha_scale` times standard normal draws.

    Raises:
        ValueError: a warm-up that is no share in [0, 1).
    """

    shares_batches = True

    def __init__(
        self,
        *,
        name: str,
        relaxation: Relaxation,
        bilevel: Callable[..., BilevelOptimizer],
        arch_optimizer: Callable[[Iterable[Parameter]], Optimizer],
        arch_warmup: float = 0.0,
        alpha_scale: float = 1e-3,
    ) -> None:
        if not 0 <= arch_warmup < 1:
            raise ValueError(f"trainer.arch_warmup is {arch_warmup}; give a share of the epochs in [0, 1)")
        self.name = name
        self.relaxation = relaxation
        self.bilevel = bilevel
        self.arch_optimizer = arch_optimizer
        self.arch_warmup = arch_warmup
        self.alpha_scale = alpha_scale

    def start(
        self,
        space: SearchSpace,
        skeleton: Skeleton,
        train: Feed,
        valid: Feed,
        recipe: Recipe,
        device: torch.device,
        ranks: Ranks = ALONE,
        budget: Budget | None = None,
    ) -> "GradientSearchProcess":
        supernet = space.supernet(skeleton).to(device)
        arch = ArchParameters(space.choices, scale=self.alpha_scale).to(device)
        with torch.no_grad():
            mixture = arch.mixture(self.relaxation.mean)
        if ranks.rank == 0:  # the others take the weights over
            calibrate(supernet, lambda: supernet(train.first_images(), mixture))
        bilevel = self.bilevel(
            Objective(supernet, autocast=recipe.autocast, ranks=ranks, sync_batch_norm=recipe.sync_batch_norm),
            arch,
            self.relaxation,
            recipe.optimizer(supernet.parameters()),
            self.arch_optimizer(arch.parameters()),
            clip_norm=recipe.clip_norm,
            budget=budget,
        )
        warmup_epochs = int(self.arch_warmup * recipe.epochs + 1e-9)  # 0.7 * 50 may fall short of 35
        return GradientSearchProcess(space, bilevel, train, valid, recipe, warmup_epochs=warmup_epochs)


class GradientSearchProcess(SearchProcess):
    """A differentiable search under way."""

    def __init__(
        self,
        space: SearchSpace,
        bilevel: BilevelOptimizer,
        train: Feed,
        valid: Feed,
        recipe: Recipe,
        *,
        warmup_epochs: int,
    ) -> None:
        if recipe.skips:
            require_skippable(bilevel)
        self.space = space
        self.bilevel = bilevel
        self.train = train
        self.valid = valid
        self.recipe = recipe
        self.warmup_epochs = warmup_epochs
        self.progress = Progress(bilevel.objective.ranks, late=self._device.type != "cpu")

    def epochs(self, on_step: Callable[[], None]) -> Iterator[EpochRecord]:
        yield from search(
            self.space,
            self.bilevel,
            self.train,
            self.valid,
            self.recipe,
            progress=self.progress,
            warmup_epochs=self.warmup_epochs,
            on_step=on_step,
        )

    @property
    def position(self) -> tuple[int, int]:
        return self.progress.epoch, self.progress.step

    def finished(self) -> Sequence[CandidateRecord]:
        return ()

    def compile(self) -> float:
        parts = self.space.compiled_parts(self.bilevel.objective.supernet)
        train, valid = (next(iter(feed.in_order())) for feed in (self.train, self.valid))
        return compile_search(self.bilevel, parts, train, valid)

    def record_steps(self) -> None:
        self.bilevel = Recorded(self.bilevel, CudaGraphs(self._device))

    def state_dict(self) -> dict[str, Any]:
        bilevel, objective = self.bilevel, self.bilevel.objective
        self.progress.require_finite(objective.supernet.parameters(), bilevel.arch.parameters())
        own = {"progress": self.progress.state_dict(), "random": random_states(self._device)}
        if objective.ranks.size > 1:  # within an epoch the buffers of the ranks differ
            own["buffers"] = {name: buffer.cpu() for name, buffer in _buffers(objective.supernet).items()}
        return {
            "weights": objective.supernet.state_dict(),
            "alphas": bilevel.arch.state_dict(),
            "weight_optimizer": bilevel.weight_optimizer.state_dict(),
            "arch_optimizer": bilevel.arch_optimizer.state_dict(),
            "budget": {} if bilevel.budget is None else bilevel.budget.state_dict(),
            "streams": [self.train.state_dict(), self.valid.state_dict()],
            "ranks": objective.ranks.gathered(own),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        bilevel, objective = self.bilevel, self.bilevel.objective
        require_form(state["ranks"], [state["ranks"][0]] * objective.ranks.size, "ranks")
        own = state["ranks"][objective.ranks.rank]
        load_module(objective.supernet, {**state["weights"], **own.get("buffers", {})}, "weights")
        load_module(bilevel.arch, state["alphas"], "alphas")
        load_optimizer(bilevel.weight_optimizer, state["weight_optimizer"], "weight_optimizer")
        load_optimizer(bilevel.arch_optimizer, state["arch_optimizer"], "arch_optimizer")
        bilevel.taken_up()
        if bilevel.budget is not None:
            require_form(state["budget"], bilevel.budget.state_dict(), "budget")
            bilevel.budget.load_state_dict(state["budget"])
        for feed, position in zip((self.train, self.valid), state["streams"], strict=True):
            feed.load_state_dict(position)
        self.progress.load_state_dict(own["progress"])
        set_random_states(own["random"], self._device)

    def roll_back(self, state: Mapping[str, Any]) -> None:
        self.load_state_dict({**state, "streams": [self.train.state_dict(), self.valid.state_dict()]})

    def try_step(self, rows: int) -> None:
        self.bilevel = self.bilevel.unrecorded()
        self.bilevel.objective.leave()
        self.bilevel.objective.supernet.train()
        batch = self.train.next_rows(rows)
        self.bilevel.arch_step(batch, self.valid.next_rows(rows))
        self.bilevel.weight_step(batch)

    @property
    def _device(self) -> torch.device:
        return next(self.bilevel.arch.parameters()).device

    def mixture(self) -> Mixture | None:
        return self.bilevel.mean_mixture()


def _buffers(supernet: nn.Module) -> dict[str, Tensor]:
    """The entries of the state dict that no optimizer moves."""
    weights = {name for name, _ in supernet.named_parameters(remove_duplicate=False)}
    return {name: tensor for name, tensor in supernet.state_dict().items() if name not in weights}
