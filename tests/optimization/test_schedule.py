"""Learning rates against the tables of the published recipes."""

import pytest
import torch

from nas.optimization import Cosine, Exponential, Linear, Schedule
from nas.optimization.schedule import set_rate

# DARTS' search (Liu et al., 2019): lr 0.025 -> 0.001 over 50 epochs
DARTS = {0: 0.025, 1: 0.024976, 10: 0.022708, 25: 0.013, 49: 0.001024}
# PC-DARTS' evaluation on ImageNet (Xu et al., 2020): lr 0.5 over 250 epochs, 5 of them warm-up
PC_DARTS = {0: 0.1, 4: 0.5, 5: 0.489796, 100: 0.295918, 244: 0.002041, 245: 0.002041, 249: 0.000408}


@pytest.mark.parametrize(("epoch", "rate"), DARTS.items())
def test_cosine_of_darts(epoch: int, rate: float) -> None:
    assert Cosine(final_rate=0.001).rate(0.025, epoch, 50) == pytest.approx(rate, abs=5e-7)


@pytest.mark.parametrize(("epoch", "rate"), PC_DARTS.items())
def test_linear_of_pc_darts(epoch: int, rate: float) -> None:
    assert Linear(tail_epochs=5, warmup_epochs=5).rate(0.5, epoch, 250) == pytest.approx(rate, abs=5e-7)


@pytest.mark.parametrize(("epoch", "rate"), {0: 0.1, 1: 0.097, 2: 0.09409, 249: 0.1 * 0.97**249}.items())
def test_exponential_of_darts_on_imagenet(epoch: int, rate: float) -> None:
    assert Exponential().rate(0.1, epoch, 250) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize("epochs", [1, 2, 7, 50])
def test_cosine_is_that_of_torch(epochs: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs, eta_min=0.003)
    for epoch in range(epochs):
        wanted = optimizer.param_groups[0]["lr"]
        assert Cosine(final_rate=0.003).rate(0.1, epoch, epochs) == pytest.approx(wanted, rel=1e-9)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("schedule", [Cosine(), Exponential(), Linear(), Linear(tail_epochs=1), Linear(tail_epochs=0)])
@pytest.mark.parametrize("epochs", [1, 2, 5, 6, 20])
def test_rates_fall_from_the_initial_one_and_stay_above_zero(schedule: Schedule, epochs: int) -> None:
    rates = [schedule.rate(1.0, epoch, epochs) for epoch in range(epochs)]
    assert all(earlier >= later > 0 for earlier, later in zip([1.0, *rates], rates, strict=False))


@pytest.mark.parametrize("kind", [Cosine, Exponential, Linear])
def test_warmup_rises_to_the_initial_rate_and_then_joins_the_schedule(kind: type[Schedule]) -> None:
    warm, cold = kind(warmup_epochs=4), kind()
    assert [warm.rate(0.8, epoch, 20) for epoch in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert [warm.rate(0.8, epoch, 20) for epoch in range(4, 20)] == [cold.rate(0.8, e, 20) for e in range(4, 20)]


def test_set_rate_keeps_the_initial_rate_of_every_group() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.4}, {"params": weights[1:], "lr": 0.1}], lr=9.0)
    schedule = Exponential(factor=0.5)
    for epoch in (0, 1, 1, 2, 0, 3):  # repeated and out of order: nothing is carried over
        assert set_rate(optimizer, schedule, epoch, 5) == 0.4 * 0.5**epoch
        assert [group["lr"] for group in optimizer.param_groups] == [0.4 * 0.5**epoch, 0.1 * 0.5**epoch]


def test_set_rate_goes_on_from_a_loaded_state() -> None:
    def made() -> torch.optim.Optimizer:
        return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)

    first, resumed = made(), made()
    set_rate(first, Exponential(factor=0.5), 3, 5)
    resumed.load_state_dict(first.state_dict())
    assert set_rate(resumed, Exponential(factor=0.5), 4, 5) == 0.4 * 0.5**4
