"""Optimizers, clipping and schedules beside torch's and transformers' of the same names."""

import numpy as np
import pytest

from plainformer import optim
from plainformer.nn import Parameter
from plainformer.optim.lr_scheduler import SCHEDULES

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

OPTIMIZERS = {
    "AdamW": {},
    "AdamW decay": {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.3},
    "SGD": {},
    "SGD momentum": {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1},
    "SGD nesterov": {"lr": 0.05, "momentum": 0.7, "nesterov": True},
}


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_steps_with_groups_clipping_and_a_schedule_are_torchs(case):
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (5,), (2,))]
    ours = [Parameter(array.copy()) for array in start]
    theirs = [torch.nn.Parameter(torch.tensor(array)) for array in start]
    name, options = case.split()[0], OPTIMIZERS[case]

    def groups(params):
        return [{"params": params[:2]}, {"params": params[2:], "lr": 0.3, "weight_decay": 0.0}]

    own = getattr(optim, name)(groups(ours), **options)
    other = getattr(torch.optim, name)(groups(theirs), **options)
    own_rates = optim.get_scheduler("cosine", own, 2, 10)
    other_rates = transformers.get_scheduler("cosine", other, 2, 10)
    for step in range(9):
        for a, b in zip(ours, theirs):
            grad = rng.standard_normal(a.shape).astype(np.float32)
            a.grad, b.grad = grad, torch.tensor(grad)
        if step % 4 == 3:
            ours[0].grad = theirs[0].grad = None
        norm = optim.clip_grad_norm_(ours, 2.0)
        assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, 2.0).item(), rel=1e-5)
        assert own_rates.get_last_lr() == pytest.approx(other_rates.get_last_lr())
        for each in (own, other, own_rates, other_rates):
            each.step()
        own.zero_grad()
        other.zero_grad()
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-5, atol=1e-6)


EXTRA = {
    "polynomial": {"power": 2.0},
    "inverse_sqrt": {"timescale": 7},
    "warmup_stable_decay": {"num_decay_steps": 6, "decay_type": "cosine"},
    "cosine": {"num_cycles": 0.7},
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_transformers(name):
    """Theirs takes the floor of some schedules among the specific words."""
    lowest = {"cosine_with_min_lr": "min_lr", "polynomial": "lr_end"}.get(name)
    floor = 0.01 if lowest else 0.0
    specific = EXTRA.get(name, {})
    warmup = 0 if name == "constant" else 4
    own = optim.SGD([Parameter(np.zeros(1, np.float32))], lr=0.5)
    other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    ours = optim.get_scheduler(name, own, warmup, 20, specific, min_lr=floor)
    theirs = transformers.get_scheduler(
        name, other, warmup, 20, {**specific, **({lowest: floor} if lowest else {})}
    )
    for _ in range(21):  # after the run ours stays where it ended
        assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-6, abs=1e-9)
        own.step()
        other.step()
        ours.step()
        theirs.step()
