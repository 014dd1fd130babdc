"""A second backend without a GPU: models whose arrays NumPy cannot see compute the same bytes.

`tests/device.py` has the arrays. What still takes an array to be NumPy's raises there.
"""

import numpy as np
import pytest

from plainformer.functional.random import dropout_state
from plainformer.models import MODELS
from plainformer.tape import no_grad
from plainformer.tensor import Tensor
from plainformer.training.callbacks import TrainerCallback
from tests.device import HOST, DeviceArray, MixedKindsError, cuda_is, device, on_device
from tests.models.tiny import batch_for, make, tasks_of
from tests.training.tiny import rows, tiny_trainer


@pytest.fixture(autouse=True)
def _cuda():
    with cuda_is(HOST):
        yield


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
    model = make(family, task, seed=3).to("cuda")
    found = computed(model, on_device(batch) if where == "device" else batch)
    assert found == wanted
    assert all(type(p.grad) in (DeviceArray, type(None)) for p in model.parameters())


GENERATION = {
    "greedy": {},
    "recorded": {"output_scores": True, "output_logits": True},
    "top_k": {"do_sample": True, "seed": 3, "top_k": 7, "temperature": 0.8},
    "top_p": {"do_sample": True, "seed": 3, "top_p": 0.7, "num_return_sequences": 2},
    "min_p": {"do_sample": True, "seed": 3, "min_p": 0.02, "output_scores": True},
    "beams": {"num_beams": 3, "num_return_sequences": 2, "output_scores": True},
    "drawn beams": {"num_beams": 3, "do_sample": True, "seed": 3, "top_k": 9},
    "no cache": {"use_cache": False},
    "processors": {
        "repetition_penalty": 1.4, "no_repeat_ngram_size": 2, "bad_words_ids": [[5], [6, 7]],
        "suppress_tokens": [8, 9], "begin_suppress_tokens": [4], "forced_eos_token_id": 3,
        "min_new_tokens": 3, "output_scores": True, "renormalize_logits": True, "eos_token_id": 3,
        "exponential_decay_length_penalty": (2, 1.2), "sequence_bias": [[[4, 5], 2.0], [[6], -1.0]],
    },
    "constraints": {
        "eos_token_id": 3, "force_words_ids": [[4, 5]],
        "prefix_allowed_tokens_fn": lambda prompt, ids: range(3, 20),
    },
    "encoder": {"encoder_repetition_penalty": 1.3, "encoder_no_repeat_ngram_size": 2},
}  # fmt: skip


def written(model, options):
    """The tokens and what the steps recorded, of prompts of several lengths."""
    prompts = [[4, 5, 6, 7, 8], [9, 10], [11, 12, 13]]
    found = model.generate(prompts, max_new_tokens=8, return_dict_in_generate=True, **options)
    assert isinstance(found.sequences, np.ndarray)
    return [
        found.sequences.tobytes(),
        *map(on_host, (*(found.scores or ()), *(found.logits or ()))),
    ]


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "bart"])
@pytest.mark.parametrize("name", GENERATION)
def test_models_write_the_same_tokens(family, name):
    task = "causal-lm" if family in ("gpt2", "llama") else "seq2seq-lm"
    if name == "encoder" and task == "causal-lm":
        pytest.skip("no encoder")
    model = make(family, task, seed=3).eval()
    wanted = written(model, GENERATION[name])
    assert written(model.to("cuda"), GENERATION[name]) == wanted


RUNS = {
    "adamw": {},
    "bfloat16": {"bf16": True, "activation_checkpointing": True, "max_grad_norm": 0.5},
    "sgd": {"optim": "sgd", "momentum": 0.9, "gradient_accumulation_steps": 2,
            "eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True},
}  # fmt: skip


class StopAtTwo(TrainerCallback):
    def on_step_end(self, args, state, control, **rest):
        control.should_training_stop |= state.global_step == 2


def trained(directory, move, options):
    """The weights and the loss after a run that stops at step 2 and is resumed."""
    found = []
    for resume in (False, True):
        trainer = tiny_trainer(
            directory, max_steps=4, save_strategy="steps", save_steps=2,
            callbacks=() if resume else [StopAtTwo()], **options,
        )  # fmt: skip
        move(trainer.model)
        trainer.train(resume_from_checkpoint=resume)
        found.append(trainer.evaluate(rows(6))["eval_loss"])
    return found, {name: on_host(p) for name, p in trainer.model.named_parameters()}


@pytest.mark.parametrize("name", RUNS)
def test_the_trainer_trains_saves_and_resumes_to_the_same_weights(name, tmp_path):
    wanted = trained(tmp_path / "host", lambda model: model.to("cpu"), RUNS[name])
    assert trained(tmp_path / "device", lambda model: model.to("cuda"), RUNS[name]) == wanted


def test_arithmetic_takes_arrays_of_the_host():
    """As losses and layers do with targets, masks and ids; so does `backward` with a gradient."""
    ones = np.ones((2, 3), np.float32)
    for call in (lambda x: x * ones, lambda x: ones[0] - x, lambda x: x / (ones > 0)):
        x = Tensor(DeviceArray(np.full((2, 3), 2.0, np.float32)), requires_grad=True)
        y = call(x)
        y.backward(ones)
        assert isinstance(y.data, DeviceArray)
        assert isinstance(x.grad, DeviceArray)
