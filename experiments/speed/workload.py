"""What is measured: steps of a search with the settings of DARTS on CIFAR-10, on random images."""

from dataclasses import dataclass
from functools import cache, cached_property

import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch.utils.flop_counter import FlopCounterMode

from experiments.speed.pairing import Work
from nas.architecture import ArchParameters
from nas.optimization import BilevelOptimizer, Objective, compile_parts
from nas.space import Skeleton

EDGE_BY_EDGE, BATCHED, RECOMPUTED, COMPILED = "edge_by_edge", "batched", "recomputed", "compiled"
VARIANTS = (EDGE_BY_EDGE, BATCHED, RECOMPUTED, COMPILED)
"""Ways to run a supernet; `recomputed` is the batched one with `space.recompute=true`, `compiled` the batched one given
to torch.compile."""

META = torch.device("meta")


@dataclass(frozen=True)
class Order:
    """What a step does, and how many forward passes' worth of multiply-accumulates that takes.

    The backward pass to weights and activations takes two, the one to activations alone takes one.
    """

    work: str
    method: str
    passes: int


ORDERS = (
    Order("forward+backward", "first_order", 3),
    Order("first-order step", "first_order", 2 + 3),
    Order("second-order step", "second_order", 3 + 3 + 2 + 2 + 3),
)
"""By the order of the gradient of the alphas; 0 is one loss, with its gradients to weights and alphas."""


@dataclass(frozen=True)
class Subject:
    """A space, and the size of its supernet and of its images."""

    space: str
    skeleton: Skeleton
    image_size: int

    def search(
        self,
        variant: str,
        *,
        method: str = "first_order",
        device: torch.device,
        autocast: torch.dtype | None = None,
        seed: int = 0,
    ) -> BilevelOptimizer:
        """A search at its start; all variants start with the same numbers."""
        config = _settings(self.space, variant, method)
        space, parts = instantiate(config.space), instantiate(config.method)
        torch.manual_seed(seed)
        supernet = space.supernet(self.skeleton).to(device)
        arch = ArchParameters(space.choices, scale=parts.alpha_scale).to(device)
        if variant == COMPILED:
            compile_parts(space.compiled_parts(supernet))
        return parts.bilevel(
            Objective(supernet, autocast=autocast),
            arch,
            parts.relaxation,
            instantiate(config.trainer.optimizer)(supernet.parameters()),
            parts.arch_optimizer(arch.parameters()),
            clip_norm=config.trainer.clip_norm,
        )

    def batch(self, size: int, device: torch.device, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Random images and labels."""
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(size, self.skeleton.in_channels, self.image_size, self.image_size, generator=generator)
        labels = torch.randint(self.skeleton.num_classes, (size,), generator=generator)
        return images.to(device), labels.to(device)

    @cached_property
    def macs(self) -> int:
        """The multiply-accumulates of a forward pass at one image, edge by edge."""
        search, (images, _) = self.search(EDGE_BY_EDGE, device=META), self.batch(2, META)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            search.objective.supernet(images, search.mean_mixture())
        return counter.get_total_flops() // 2 // len(images)


def step(search: BilevelOptimizer, order: int, subject: Subject, batch: int, device: torch.device) -> Work:
    """One step of this order; the alphas learn from other images than the weights."""
    train, valid = (subject.batch(batch, device, seed=seed) for seed in (0, 1))
    supernet, arch = search.objective.supernet, search.arch

    def forward_backward() -> None:
        loss, _ = search.objective(train, arch.mixture(search.relaxation.sample))
        torch.autograd.grad(loss, [*supernet.parameters(), *arch.parameters()], materialize_grads=True)

    def both_steps() -> None:
        search.arch_step(train, valid)
        search.weight_step(train)
        for optimizer in (search.weight_optimizer, search.arch_optimizer):
            optimizer.zero_grad()  # memory is counted from the same start at every step

    return both_steps if order else forward_backward


@cache
def _settings(space: str, variant: str, method: str) -> DictConfig:
    execution = EDGE_BY_EDGE if variant == EDGE_BY_EDGE else BATCHED
    overrides = ["experiment=darts_cifar10", f"space={space}", f"space.execution={execution}", f"method={method}"]
    overrides += [f"space.recompute={str(variant == RECOMPUTED).lower()}"]
    with initialize_config_module("nas.conf", version_base="1.3"):
        return compose("search", overrides=overrides)
