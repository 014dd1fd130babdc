"""What causal language models share: the loss, the cache, generation.

A family adds `hidden_states` and `head_weight`, see `gpt2.py`.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from .. import functional
from ..errors import ConfigError, DTypeError, ShapeError
from ..generation import generate
from ..nn.attention import KeyValueCache
from ..tensor import Array, Tensor, no_grad
from .outputs import CausalLMOutput
from .pretrained import PreTrainedModel

IGNORED = -100


class CausalLM(PreTrainedModel):
    """Base of models that predict each token from those before it."""

    def hidden_states(
        self, input_ids: Array, attn_mask: Array | None, cache: KeyValueCache | None
    ) -> Tensor:
        """The last hidden states (B, L, C), normed."""
        raise NotImplementedError(f"{type(self).__name__} defines no hidden_states")

    def head_weight(self) -> Tensor:
        """The (V, C) weight of the head."""
        raise NotImplementedError(f"{type(self).__name__} defines no head_weight")

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        labels: Any = None,
        *,
        shift_labels: Any = None,
        num_items_in_batch: int | None = None,
        label_smoothing: float = 0.0,
        return_logits: bool | None = None,
        logits_to_keep: int = 0,
        cache: KeyValueCache | None = None,
    ) -> CausalLMOutput:
        """Logits, and with labels the loss.

        Parameters
        ----------
        input_ids : ids (B, L), array, Tensor or list of rows
        attention_mask : (B, L), 1 for tokens and 0 for padding; None means no padding
        labels : ids (B, L), usually `input_ids` itself: the label of each position is the next
            one; -100 takes no part
        shift_labels : ids (B, L) instead of `labels`, where the label of each position is its own
        num_items_in_batch : what the summed loss is divided by; None means the labels that count
        label_smoothing : probability spread evenly over the vocabulary
        return_logits : also compute logits beside a loss; None means in eval mode
        logits_to_keep : compute logits of so many last positions only; 0 means all
        cache : keys and values of earlier calls; input_ids continue them

        Raises
        ------
        ShapeError, DTypeError : naming the argument, what it got and what was wanted
        """
        ids = as_ids("input_ids", input_ids)
        check_length(ids.shape[1], 0 if cache is None else cache.length, self.config.n_positions)
        target = shifted_labels(ids, labels, shift_labels)
        if return_logits is None:
            return_logits = target is None or not self.training
        recorded = self.training or target is not None
        with contextlib.nullcontext() if recorded else no_grad():
            x = self.hidden_states(ids, as_mask(attention_mask, ids.shape, cache), cache)
            loss = logits = None
            if target is not None:
                loss = self._loss(x, target, num_items_in_batch, label_smoothing)
            if return_logits:
                kept = functional.last_positions(x, logits_to_keep) if logits_to_keep else x
                logits = functional.linear(kept, self.head_weight())
        return CausalLMOutput(loss, logits)

    def _loss(
        self, x: Tensor, target: Array, num_items: int | None, label_smoothing: float
    ) -> Tensor:
        """Summed cross entropy over `num_items`; the logits never exist as a whole."""
        if num_items is not None and num_items < 1:
            raise ConfigError(f"num_items_in_batch: got {num_items}, expected at least 1")
        return functional.fused_linear_cross_entropy(
            x,
            self.head_weight(),
            target,
            ignore_index=IGNORED,
            label_smoothing=label_smoothing,
            num_items=num_items,
        )

    def generation_config(self) -> dict[str, Any]:
        """Hugging Face's `generation_config.json`: the special ids."""
        names = ("bos_token_id", "eos_token_id", "pad_token_id")
        ids = {name: getattr(self.config, name) for name in names}
        return {"_from_model_config": True, **{k: v for k, v in ids.items() if v is not None}}

    def count_labels(self, labels: Any) -> int:
        """How many of `labels` enter the loss: the first of each row has nothing before it."""
        return int(np.count_nonzero(as_ids("labels", labels)[:, 1:] != IGNORED))

    def generate(self, input_ids: Any, max_new_tokens: int = 20, **options: Any) -> Array:
        """Continue token ids; see `plainformer.generation.generate` for the options."""
        return generate(self, input_ids, max_new_tokens, **options)


def as_ids(name: str, ids: Any) -> Array:
    """Token ids as an integer array (B, L)."""
    array = np.asarray(ids)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{name}: got dtype {array.dtype}, expected integers")
    if array.ndim != 2:
        raise ShapeError(f"{name}: got shape {array.shape}, expected (batch, tokens)")
    return array if array.dtype in (np.int32, np.int64) else array.astype(np.int64)


def as_mask(mask: Any, shape: tuple[int, int], cache: KeyValueCache | None) -> Array | None:
    """An attention mask (B, L) as a bool mask (B, 1, 1, L) over keys."""
    if mask is None:
        return None
    if cache is not None:
        raise ConfigError("attention_mask: not supported with a cache; rows must have one length")
    array = np.asarray(mask)
    if array.shape != shape:
        raise ShapeError(f"attention_mask: got shape {array.shape}, expected {shape}")
    return (array != 0)[:, None, None, :]


def check_length(length: int, past: int, n_positions: int) -> None:
    """Raise if there are more tokens than positions."""
    if past + length > n_positions:
        seen = f" after {past} cached ones" if past else ""
        raise ShapeError(
            f"input_ids: got {length} tokens{seen}, the model has n_positions = {n_positions}; "
            "cut the input"
        )


def shifted_labels(ids: Array, labels: Any, shift_labels: Any) -> Array | None:
    """The label of each position (B, L), -100 where there is none; None without labels."""
    if labels is not None and shift_labels is not None:
        raise ConfigError("labels: got labels and shift_labels, expected one of them")
    name = "labels" if shift_labels is None else "shift_labels"
    given = labels if shift_labels is None else shift_labels
    if given is None:
        return None
    target = as_ids(name, given)
    if target.shape != ids.shape:
        raise ShapeError(f"{name}: got shape {target.shape}, expected {ids.shape} like input_ids")
    if shift_labels is not None:
        return target
    shifted = np.full_like(target, IGNORED)
    shifted[:, :-1] = target[:, 1:]
    return shifted
