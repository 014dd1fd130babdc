"""Classifiers on decoders: the last token has seen all others, so its state stands for the text.

A family gives them a body under its own name, see `gpt2.py`.
"""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..nn import Linear, RaggedRows, Sequences
from ..tensor import Array, Tensor
from .classifiers import SequenceClassifier
from .encoder import Rows
from .heads import pool
from .inputs import as_ids


class LastTokenClassifier(SequenceClassifier):
    """Base of decoders that classify a sequence by its last token.

    Without an attention_mask, `pad_token_id` at the end of a row is padding.
    """

    score: Linear

    def rows(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        cu_seqlens: Any = None,
    ) -> Rows:
        """The tokens of a batch; the arguments are those of a call."""
        pad = self.config.pad_token_id
        is_padded = not isinstance(input_ids, RaggedRows) and cu_seqlens is None
        if is_padded and attention_mask is None and pad is not None:
            attention_mask = before_padding(as_ids("input_ids", input_ids), pad)
        return super().rows(input_ids, attention_mask, token_type_ids, position_ids, cu_seqlens)

    def sequence_logits(self, x: Tensor, sequences: Sequences) -> Tensor:
        """Logits (S, num_labels)."""
        return self.score(pool(x, sequences, "last"))


def before_padding(ids: Array, pad: int) -> Array:
    """A mask (B, L): the first token, and all up to the last one that is no padding."""
    xp, L = kernels.xp(ids), ids.shape[1]
    real = ids != pad
    if not L:
        return real
    last = xp.where(real.any(axis=1), L - 1 - real[:, ::-1].argmax(axis=1), 0)
    return xp.arange(L) <= last[:, None]
