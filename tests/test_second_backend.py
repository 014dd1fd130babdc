"""A second backend without a GPU: models whose arrays NumPy cannot see compute the same bytes.

`tests/device.py` has the arrays. What still takes an array to be NumPy's raises there.
"""

import numpy as np
import pytest

from plainformer.functional.random import dropout_state
from plainformer.models import MODELS
from plainformer.tape import no_grad
from tests.device import DeviceArray, MixedKindsError, device, on_device, to_device
from tests.models.tiny import batch_for, make, tasks_of

CASES = [(family, task) for family in MODELS for task in tasks_of(family)
         if task != "feature-extraction"]  # which has no loss  # fmt: skip


def on_host(x):
    """The bytes of a Tensor or an array of either kind."""
    data = x if isinstance(x, (np.ndarray, DeviceArray)) else x.data
    return (data._hidden if isinstance(data, DeviceArray) else data).tobytes()


def computed(model, batch):
    """Loss, outputs and all gradients of a training pass, and the outputs in eval mode."""
    model.train()
    with dropout_state(3):
        output = model(**batch)
    output.loss.backward()
    found = {"loss": on_host(output.loss)}
    found |= {name: on_host(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    with no_grad():
        for i, value in enumerate(model.eval()(**batch).to_tuple()):
            if hasattr(value, "data"):
                found[f"output {i}"] = on_host(value)
    return found


def test_numpy_cannot_see_the_arrays():
    x = DeviceArray(np.ones(2))
    for call in (
        np.sum, np.asarray, np.exp, lambda x: np.ones(2) + x, lambda x: x[np.array([0])],
        lambda x: device.where(np.ones(2, bool), x, x), lambda x: np.concatenate([x]),
    ):  # fmt: skip
        with pytest.raises((MixedKindsError, TypeError)):
            call(x)


@pytest.mark.parametrize("where", ["host", "device"])
@pytest.mark.parametrize(("family", "task"), CASES, ids=map("-".join, CASES))
def test_models_compute_the_same_bytes(family, task, where, rng):
    batch = batch_for(task, rng)
    if task == "relation-extraction":
        batch["entity_positions"] = np.array([[0, 2], [1, 3], [5, 1]])
        batch["labels"] = np.array([1, 0, 1])
    wanted = computed(make(family, task, seed=3), batch)
    model = to_device(make(family, task, seed=3))
    found = computed(model, on_device(batch) if where == "device" else batch)
    assert found == wanted
    assert all(type(p.grad) in (DeviceArray, type(None)) for p in model.parameters())
