"""PyTorch's side of train_gpt.py: the same GPT by its own fused functions, eager or compiled."""

from __future__ import annotations

import os
from typing import Any

import gpt_recipe as recipe
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
import torch_side
from torch import nn
from torch_side import set_threads

__all__ = ["HANDLERS", "describe", "set_threads"]
COMPILED = os.environ.get("PLAINFORMER_BENCH_COMPILED") == "1"


def describe() -> dict[str, Any]:
    """As every process of PyTorch, and whether the model is compiled."""
    return {**torch_side.describe(), "compiled": COMPILED}


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); x is (B, T, C)."""

    def __init__(self, C: int, heads: int):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(C, bias=False), nn.LayerNorm(C, bias=False)
        self.c_attn, self.attn_proj = nn.Linear(C, 3 * C, bias=False), nn.Linear(C, C, bias=False)
        self.c_fc, self.mlp_proj = nn.Linear(C, 4 * C, bias=False), nn.Linear(4 * C, C, bias=False)

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.ln_1(x))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))

    def attention(self, x: Any) -> Any:
        B, T, C = x.shape
        q, k, v = (
            part.view(B, T, self.heads, C // self.heads).transpose(1, 2)
            for part in self.c_attn(x).split(C, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.attn_proj(y.transpose(1, 2).reshape(B, T, C))


class GPT(nn.Module):
    """Token ids (B, T) to logits (B, T, V); the head is the token embedding."""

    def __init__(self, sizes: dict[str, int], vocab_size: int):
        super().__init__()
        C = sizes["n_embd"]
        self.wte = nn.Embedding(vocab_size, C)
        self.wpe = nn.Embedding(sizes["block_size"], C)
        self.h = nn.ModuleList(Block(C, sizes["n_head"]) for _ in range(sizes["n_layer"]))
        self.ln_f = nn.LayerNorm(C, bias=False)

    def forward(self, ids: Any) -> Any:
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.h:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight)


# The last parts of Hugging Face's names, whose matrices are stored (in, out), and ours here.
_RENAMED = {
    "attn.c_attn": "c_attn",
    "attn.c_proj": "attn_proj",
    "mlp.c_fc": "c_fc",
    "mlp.c_proj": "mlp_proj",
}


def load_weights(model: GPT, path: str) -> None:
    """Copy weights under Hugging Face's names into `model`."""
    state = {}
    with np.load(path) as file:
        for name, array in file.items():
            name = name.removeprefix("transformer.").removesuffix(".weight")
            for theirs, own in _RENAMED.items():
                if name.endswith(theirs):
                    name, array = name.removesuffix(theirs) + own, array.T
            state[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(array))
    state.pop("lm_head.weight", None)  # the token embedding, where it is written twice
    model.load_state_dict(state)


def make_optimizer(model: GPT) -> Any:
    """Fused AdamW; matrices and embeddings decay."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=recipe.LEARNING_RATE, betas=recipe.BETAS, eps=recipe.EPS, fused=True
    )


class Side:
    """A model in training."""

    def start(self, sizes: dict[str, int], vocab_size: int, weights: str, dtype: str) -> Any:
        """A model with these weights, all in `dtype`, and a fresh optimizer."""
        self.model = GPT(sizes, vocab_size)
        load_weights(self.model, weights)
        self.model.to(getattr(torch, dtype))
        self.logits = torch.compile(self.model) if COMPILED else self.model
        self.optimizer = make_optimizer(self.model)
        return {"parameters": sum(p.numel() for p in self.model.parameters())}

    def loss(self, inputs: Any, labels: Any, reduction: str = "mean") -> Any:
        """Cross entropy of the model's logits."""
        logits = self.logits(torch.from_numpy(inputs))
        target = torch.from_numpy(np.ascontiguousarray(labels)).long()
        return F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction=reduction)

    def update(self, inputs: Any, labels: Any, step: int) -> float:
        """Forward, backward, clip, AdamW."""
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate(step)
        loss = self.loss(inputs, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), recipe.MAX_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def steps(self, blocks: str, first: int) -> Any:
        """Updates on these batches."""
        return recipe.timed_steps(self.update, blocks, first)

    def summed_loss(self, inputs: Any, labels: Any) -> float:
        """The sum of the loss over all labels."""
        with torch.inference_mode():
            return self.loss(inputs, labels, "sum").item()

    def evaluate(self, tokens: str, block_size: int) -> Any:
        """Mean loss over `tokens`."""
        return recipe.mean_loss(self.summed_loss, tokens, block_size)


_side = Side()
HANDLERS = {
    "start": _side.start,
    "steps": _side.steps,
    "evaluate": _side.evaluate,
    "peak": recipe.peak_bytes,
}
