"""Our side of train_gpt.py: the model, optimizer and update that `plainformer pretrain` runs."""

from __future__ import annotations

from typing import Any

import gpt_recipe as recipe
import numpy as np
from our_side import describe, set_threads

from plainformer import kernels
from plainformer.models import GPT2Config, GPT2LMHeadModel
from plainformer.tape import no_grad
from plainformer.training import TrainingArguments
from plainformer.training.updates import make_optimizer

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A model in training."""

    def create(self, sizes: dict[str, int], vocab_size: int, seed: int, path: str) -> Any:
        """Initialize a model from `seed` and write its weights, for both sides to start from."""
        np.savez(path, **GPT2LMHeadModel(make_config(sizes, vocab_size), seed).state_dict())
        return {}

    def start(self, sizes: dict[str, int], vocab_size: int, weights: str, dtype: str) -> Any:
        """A model with these weights and a fresh optimizer; bfloat16 has float32 masters."""
        self.model = GPT2LMHeadModel(make_config(sizes, vocab_size), seed=None)
        with np.load(weights) as file:
            self.model.load_state_dict(dict(file))
        self.model.train()
        self.optimizer = make_optimizer(self.model, arguments(dtype))
        return {"parameters": sum(p.data.size for _, p in self.model.named_parameters())}

    def update(self, inputs: Any, labels: Any, step: int) -> float:
        """Forward, backward, clip, AdamW."""
        loss = self.model(input_ids=inputs, shift_labels=labels).loss
        value = float(np.asarray(loss))
        loss.backward()
        grads = [parameter.grad for parameter in self.model.parameters()]
        _, scale = kernels.clip_grad_norm(grads, recipe.MAX_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate(step)
        self.optimizer.step(grad_scale=scale)
        self.optimizer.zero_grad()
        return value

    def steps(self, blocks: str, first: int) -> Any:
        """Updates on these batches."""
        return recipe.timed_steps(self.update, blocks, first)

    def summed_loss(self, inputs: Any, labels: Any) -> float:
        """The sum of the loss over all labels."""
        with no_grad():
            loss = self.model(
                input_ids=inputs, shift_labels=labels, num_items_in_batch=1, return_logits=False
            ).loss
        return float(np.asarray(loss))

    def evaluate(self, tokens: str, block_size: int) -> Any:
        """Mean loss over `tokens`."""
        self.model.eval()
        result = recipe.mean_loss(self.summed_loss, tokens, block_size)
        self.model.train()
        return result


def arguments(dtype: str) -> TrainingArguments:
    """The recipe's, as our training has them."""
    return TrainingArguments(
        output_dir="unused",
        weight_decay=recipe.WEIGHT_DECAY,
        adam_beta1=recipe.BETAS[0],
        adam_beta2=recipe.BETAS[1],
        adam_epsilon=recipe.EPS,
        bf16=dtype == "bfloat16",
    )


def make_config(sizes: dict[str, int], vocab_size: int) -> GPT2Config:
    """nanoGPT's variant of GPT-2: exact GELU, no biases, no dropout."""
    return GPT2Config(
        vocab_size=vocab_size,
        n_positions=sizes["block_size"],
        n_embd=sizes["n_embd"],
        n_layer=sizes["n_layer"],
        n_head=sizes["n_head"],
        activation_function="gelu",
        bias=False,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
    )


_side = Side()
HANDLERS = {
    "create": _side.create,
    "start": _side.start,
    "steps": _side.steps,
    "evaluate": _side.evaluate,
    "peak": recipe.peak_bytes,
}
