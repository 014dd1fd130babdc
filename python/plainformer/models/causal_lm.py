"""What causal language models share: the loss, the cache, generation.

A family adds `head_weight`, and its bare model has `states`, see `gpt2.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import functional, kernels
from ..data.batches import IGNORE_INDEX
from ..generation import GenerationMixin
from ..nn import KeyValueCache, Sequences, join
from ..tape import no_grad
from ..tensor import Array, Tensor
from .inputs import as_ids, check_items, positions_of, sequences_of, shifted_rows
from .outputs import CausalLMOutput
from .pretrained import PreTrainedModel


class CausalLM(GenerationMixin, PreTrainedModel):
    """Base of models that predict each token from those before it."""

    model_task = "causal-lm"
    __call__: Callable[..., CausalLMOutput]

    def head_weight(self) -> Tensor:
        """The (V, C) weight of the head."""
        raise NotImplementedError(f"{type(self).__name__} defines no head_weight")

    @property
    def logit_softcap(self) -> float:
        """What logits are capped at, smoothly; 0 means not at all."""
        return 0.0

    def head_logits(self, x: Tensor) -> Tensor:
        """Logits (N, V) of the last hidden states (N, C)."""
        logits = functional.linear(x, self.head_weight())
        cap = self.logit_softcap
        return functional.softcap(logits, cap) if cap else logits

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        labels: Any = None,
        *,
        position_ids: Any = None,
        cu_seqlens: Any = None,
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
        input_ids : ids (B, L), array, Tensor, list of rows or `nn.RaggedRows`
        attention_mask : (B, L), 1 for tokens and 0 for padding, on any side; padding is not
            computed, and its logits are 0; None means no padding
        labels : ids (B, L), usually `input_ids` itself: the label of each position is the next
            one; -100 takes no part, nor does what follows the last token of a sequence
        position_ids : (B, L); None counts from the first token of each sequence
        cu_seqlens : int (S + 1), borders of S documents in input_ids (1, N), which do not see
            each other
        shift_labels : ids (B, L) instead of `labels`, where the label of each position is its own
        num_items_in_batch : what the summed loss is divided by; None means the labels that count
        label_smoothing : probability spread evenly over the vocabulary
        return_logits : also compute logits beside a loss; None means in eval mode
        logits_to_keep : compute logits of so many last positions only; 0 means all
        cache : keys and values of earlier calls; input_ids continue them

        Raises
        ------
        ShapeError, DTypeError, ConfigError : naming the argument, what it got, what was wanted
        """
        ids = as_ids("input_ids", input_ids)
        rows = sequences_of(ids, attention_mask, cu_seqlens)
        target = shifted_rows(rows, ids, labels, shift_labels)
        check_items(num_items_in_batch)
        if return_logits is None:
            return_logits = target is None or not self.training
        with self.recording(target is not None):
            x = self._rows(rows.rows_of(ids), rows, position_ids, cache)
            loss = logits = None
            if target is not None:
                loss = functional.fused_linear_cross_entropy(
                    x,
                    self.head_weight(),
                    target,
                    ignore_index=IGNORE_INDEX,
                    label_smoothing=label_smoothing,
                    num_items=num_items_in_batch,
                    softcap=self.logit_softcap,
                )
            if return_logits:
                logits = self._logits(x, rows, logits_to_keep)
        return CausalLMOutput(loss, logits=logits)

    def _rows(
        self, ids: Array, rows: Sequences, position_ids: Any, cache: KeyValueCache | None
    ) -> Tensor:
        """The last hidden states (N, C); a cache moves on by these rows."""
        states = self.base_model.states
        if cache is None:
            return states(ids, rows, positions_of(rows, position_ids))
        cache.check_room(rows)
        x = states(ids, rows, positions_of(rows, position_ids, cache.lengths), cache)
        cache.advance(rows)
        return x

    def _logits(self, x: Tensor, rows: Sequences, keep: int) -> Tensor:
        if keep:
            index, rows = rows.tail(keep)
            x = functional.take_rows(x, index)
        return rows.batch_of(self.head_logits(x))

    def new_cache(self, batch: int, capacity: int) -> KeyValueCache:
        """An empty cache for `batch` sequences of at most `capacity` tokens."""
        return KeyValueCache(self.config.num_layers, batch, capacity)

    @no_grad()
    def next_logits(self, ids: Any, cache: KeyValueCache) -> Array:
        """Float32 logits (B, V) of the token after each sequence of the cache continued by `ids`.

        Parameters
        ----------
        ids : B arrays of one or more ids each, or an array (B, n)
        cache : from `new_cache`; it takes these tokens in
        """
        flat, rows = join(list(ids))
        x = self._rows(flat, rows, None, cache)
        if rows.num_rows > rows.count:
            x = functional.take_rows(x, rows.last_rows())
        logits = self.head_logits(x).data
        return logits.astype(np.float32, copy=False)

    def count_labels(self, batch: Mapping[str, Any]) -> int:
        """How many labels of a batch (the arguments of a call) enter the loss."""
        labels = batch.get("labels")
        ids = as_ids("labels", batch["shift_labels"] if labels is None else labels)
        rows = sequences_of(ids, batch.get("attention_mask"), batch.get("cu_seqlens"))
        counts = rows.rows_of(ids) != IGNORE_INDEX
        if labels is not None:  # nothing stands before a first
            first = rows.cu_seqlens[:-1][rows.lengths > 0]
            counts[kernels.asarray(first, counts)] = False
        return int(counts.sum())
