"""Models on the emulated GPU compute what they compute on the CPU.

Arrays are those of `tests/device.py`, which NumPy cannot see, and the kernels are the CUDA ones:
what these tests run has no NumPy left on the way from a batch to new weights. The truth is the same
step in float64 on the CPU; the device may err by twice what the CPU does, gradients by three times
(`docs/accuracy.md`). Whole numbers are equal.
"""

import numpy as np
import pytest

import plainformer as pf
from plainformer import kernels, optim
from plainformer.functional.random import dropout_state
from plainformer.models import MODELS
from plainformer.tape import no_grad
from plainformer.training.callbacks import TrainerCallback
from tests.device import DeviceArray
from tests.emulated import emulated
from tests.models.tiny import batch_for, make, tasks_of
from tests.tasks.tiny import TASKS, tune
from tests.training.tiny import rows, tiny_trainer


@pytest.fixture(autouse=True)
def _cuda():
    with emulated():
        yield


# ---- a training step ----------------------------------------------------------------------------

FIRST = [(family, tasks_of(family)[0]) for family in MODELS]
HEADS = [("bert", task) for task in tasks_of("bert")]
CASES = [case for case in dict.fromkeys([*FIRST, *HEADS]) if case[1] != "feature-extraction"]


def batch_of(task):
    batch = batch_for(task, np.random.default_rng(5))
    if task == "relation-extraction":
        batch["entity_positions"] = np.array([[0, 2], [1, 3], [5, 1]])
        batch["labels"] = np.array([1, 0, 1])
    return batch


def step(family, task, *where):
    """Loss, gradients, outputs in eval mode and the weights after a step; on the host."""
    model = make(family, task, seed=3).to(*where).train()
    optimizer = optim.SGD(model.named_parameters(), 0.1, 0.9)
    with dropout_state(3):
        output = model(**batch_of(task))
    output.loss.backward()
    found = {"loss": output.loss.numpy()}
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    found |= {f"grad {name}": kernels.asnumpy(grad) for name, grad in grads.items()}
    kind = DeviceArray if "cuda" in where else np.ndarray
    assert {type(grad) for grad in grads.values()} == {kind}
    norm, scale = kernels.clip_grad_norm(list(grads.values()), 1.0)
    optimizer.step(grad_scale=scale)
    found |= {"norm": np.array(norm)}
    found |= {f"weight {name}": p.numpy() for name, p in model.named_parameters()}
    with no_grad():
        for i, value in enumerate(model.eval()(**batch_of(task)).to_tuple()):
            if hasattr(value, "numpy"):
                found[f"output {i}"] = value.numpy()
    return {name: np.asarray(array, np.float64) for name, array in found.items()}


def check_2x(found, cpu, exact):
    """The 2x rule, with the CPU as the plain implementation."""
    assert found.keys() == cpu.keys() == exact.keys()
    scales: dict[str, float] = {}
    for name, truth in exact.items():
        kind, size = name.split()[0], float(np.abs(truth).max(initial=0))
        scales[kind] = max(size, scales.get(kind, 0.0))
    for name, truth in exact.items():
        kind = name.split()[0]
        factor = 3 if kind == "grad" else 2
        allowed = factor * np.abs(cpu[name] - truth).max(initial=0) + 1e-5 * scales[kind]
        assert np.abs(found[name] - truth).max(initial=0) <= allowed, name


@pytest.mark.parametrize(("family", "task"), CASES, ids=map("-".join, CASES))
def test_a_training_step_of_every_family(family, task):
    exact, cpu = step(family, task, "float64"), step(family, task, "cpu")
    check_2x(step(family, task, "cuda"), cpu, exact)


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "bert"])
def test_a_training_step_in_bfloat16(family):
    task = tasks_of(family)[0]
    exact, cpu = step(family, task, "float64"), step(family, task, "bfloat16")
    for name, array in exact.items():  # one bit more or less of bfloat16 is no mistake
        cpu[name] = cpu[name] + 2.0**-7 * np.abs(array).max(initial=0)
    check_2x(step(family, task, "cuda", "bfloat16"), cpu, exact)


# ---- generation ---------------------------------------------------------------------------------

GENERATION = {
    "greedy": {},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "sampling": {"do_sample": True, "seed": 3, "top_k": 7, "temperature": 0.8},
}
WRITERS = [f for f in MODELS if {"causal-lm", "seq2seq-lm"} & set(tasks_of(f))]


@pytest.mark.parametrize("name", GENERATION)
@pytest.mark.parametrize("family", WRITERS)
def test_models_write_the_same_tokens(family, name):
    task = next(t for t in ("causal-lm", "seq2seq-lm") if t in tasks_of(family))
    model = make(family, task, seed=3).eval()
    prompts = [[4, 5, 6, 7, 8], [9, 10], [11, 12, 13]]
    wanted = model.generate(prompts, max_new_tokens=6, **GENERATION[name])
    found = model.to("cuda").generate(prompts, max_new_tokens=6, **GENERATION[name])
    assert found.tolist() == wanted.tolist()


# ---- fine-tuning --------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_fine_tuning_of_every_kind(task, tmp_path):
    """The same figures and answers, and the directory opens on either device."""
    found = {}
    for device in ("cpu", "cuda"):
        result = tune(task, tmp_path / device, device=device, optim="sgd", max_steps=1,
                      validation=None, learning_rate=0.1)  # fmt: skip
        assert str(result.task.model.device).startswith(device)
        asked = pf.pipeline(task, tmp_path / device, device=device)
        found[device] = result.metrics["train_loss"], asked.task.evaluate(TASKS[task][2][:3])
    assert found["cuda"][0] == pytest.approx(found["cpu"][0], rel=1e-5)
    assert found["cuda"][1] == pytest.approx(found["cpu"][1], rel=1e-4)
    weights = [pf.load(tmp_path / device).state_dict() for device in ("cpu", "cuda")]
    for name, array in weights[0].items():
        np.testing.assert_allclose(weights[1][name], array, rtol=1e-4, atol=1e-5)


# ---- saving, resuming, moving -------------------------------------------------------------------


class StopAtTwo(TrainerCallback):
    def on_step_end(self, args, state, control, **rest):
        control.should_training_stop |= state.global_step == 2


def trained(directory, device, resumed=None, **options):
    """The weights after four steps; of a run that stops after two and goes on as `resumed`."""
    options = {"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 2, **options}
    stops = [StopAtTwo()] if resumed else ()
    trainer = tiny_trainer(directory, device=device, callbacks=stops, **options)
    trainer.train()
    if resumed:
        trainer = tiny_trainer(directory, device=resumed, **options)
        trainer.train(resume_from_checkpoint=True)
        assert str(trainer.model.device).startswith(resumed)
    loss = trainer.evaluate(rows(3))["eval_loss"]
    return loss, {name: p.numpy() for name, p in trainer.model.named_parameters()}


@pytest.mark.parametrize("options", [{}, {"bf16": True}], ids=["float32", "bfloat16"])
def test_a_resumed_run_ends_with_the_bytes_of_one_that_went_on(tmp_path, options):
    loss, whole = trained(tmp_path / "whole", "cuda", **options)
    again, resumed = trained(tmp_path / "resumed", "cuda", "cuda", **options)
    assert again == loss
    assert {n: a.tobytes() for n, a in resumed.items()} == {
        n: a.tobytes() for n, a in whole.items()
    }


@pytest.mark.parametrize("move", [("cpu", "cuda"), ("cuda", "cpu")], ids="-".join)
def test_a_run_goes_on_on_another_device(tmp_path, move):
    loss, whole = trained(tmp_path / "whole", "cpu", optim="sgd", momentum=0.9)
    again, resumed = trained(tmp_path / "moved", *move, optim="sgd", momentum=0.9)
    assert again == pytest.approx(loss, rel=1e-4)
    for name, array in whole.items():
        np.testing.assert_allclose(resumed[name], array, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_moves_between_devices_byte_for_byte(tmp_path):
    model = make("llama", "causal-lm", seed=3)
    model.save_pretrained(tmp_path / "cpu")
    pf.load(tmp_path / "cpu", device="cuda").save_pretrained(tmp_path / "cuda")
    moved = pf.load(tmp_path / "cuda")
    for name, array in model.state_dict().items():
        assert moved.state_dict()[name].tobytes() == array.tobytes()
    files = [tmp_path / device / "model.safetensors" for device in ("cpu", "cuda")]
    assert files[0].read_bytes() == files[1].read_bytes()
