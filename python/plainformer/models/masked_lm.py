"""Masked language models: guess the tokens that were replaced by a mask.

References
----------
Devlin, Chang, Lee, Toutanova, "BERT", 2018, arXiv:1810.04805.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import functional, kernels
from ..data.batches import IGNORE_INDEX
from ..nn import Linear
from ..tensor import Tensor
from .encoder import Encoder
from .heads import count_token_labels, token_labels
from .inputs import check_items
from .outputs import MaskedLMOutput


class MaskedLM(Encoder):
    """Base of masked language models: a family adds the two parts of the head."""

    model_task = "masked-lm"
    __call__: Callable[..., MaskedLMOutput]

    def transformed(self, x: Tensor) -> Tensor:
        """States (M, C) as the projection to the vocabulary takes them."""
        raise NotImplementedError(f"{type(self).__name__} defines no transformed")

    def projection(self) -> Linear:
        """The layer from them to logits (M, V)."""
        raise NotImplementedError(f"{type(self).__name__} defines no projection")

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        *,
        position_ids: Any = None,
        cu_seqlens: Any = None,
        num_items_in_batch: int | None = None,
        label_smoothing: float = 0.0,
        return_logits: bool | None = None,
    ) -> MaskedLMOutput:
        """Logits (B, L, V), and with labels the loss. See `Encoder` for the other arguments.

        Parameters
        ----------
        labels : ids (B, L), the token that belongs at each position; -100 takes no part. The head
            computes the loss from labelled positions alone
        num_items_in_batch : what the summed loss is divided by; None means the labels that count
        label_smoothing : probability spread evenly over the vocabulary
        return_logits : also compute logits beside a loss; None means in eval mode
        """
        check_items(num_items_in_batch)
        if return_logits is None:
            return_logits = labels is None or not self.training
        with self.recording(labels is not None):
            rows = self.rows(input_ids, attention_mask, token_type_ids, position_ids, cu_seqlens)
            x = self.hidden_rows(rows)
            loss = logits = None
            if labels is not None:
                target = token_labels(rows.sequences, labels)
                counted = kernels.xp(target).flatnonzero(target != IGNORE_INDEX)
                loss = functional.fused_linear_cross_entropy(
                    self.transformed(functional.take_rows(x, counted)),
                    self.projection().weight,
                    target[counted],
                    self.projection().bias,
                    label_smoothing=label_smoothing,
                    num_items=num_items_in_batch,
                )
            if return_logits:
                logits = rows.sequences.batch_of(self.projection()(self.transformed(x)))
        return MaskedLMOutput(loss, logits=logits)

    def logits_at(
        self,
        places: Any,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
    ) -> Tensor:
        """Logits (M, V) at `places` (M,) alone, counted over the tokens of all rows without
        padding; the same bytes as `forward` has there."""
        with self.recording(False):
            rows = self.rows(input_ids, attention_mask, token_type_ids, None, None)
            x = self.hidden_rows(rows)
            chosen = functional.take_rows(x, kernels.asarray(places, x.data))
            return self.projection()(self.transformed(chosen))

    def count_labels(self, batch: Mapping[str, Any]) -> int:
        """How many labels of a batch (the arguments of a call) enter the loss."""
        return count_token_labels(batch)
