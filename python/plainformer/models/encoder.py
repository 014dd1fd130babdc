"""What encoders share: a batch becomes rows, rows become states, states become an output.

A family adds `hidden_rows`, see `bert.py`. What is done with states is in `masked_lm.py` and
`classifiers.py`; decoders may be classifiers as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional, kernels
from ..errors import ConfigError
from ..nn import Module, Sequences, recompute, report_state
from ..tensor import Array, Tensor
from .heads import pool
from .inputs import as_ids, like_ids, positions_of, sequences_of
from .outputs import BaseModelOutput
from .pretrained import PreTrainedModel


@dataclass(frozen=True)
class Rows:
    """The tokens of a batch: ids, positions and token types (N,), and how they divide.

    token_types is None in a model without them; batch holds the ids (B, L) as they were given,
    hidden ones too.
    """

    ids: Array
    sequences: Sequences
    positions: Array
    token_types: Array | None
    batch: Array


class Encoder(PreTrainedModel):
    """Base of models that turn each token into a state, with or without a task's head.

    Arguments of every call

    input_ids : ids (B, L), array, Tensor, list of rows or `nn.RaggedRows`; what stands beside them
        may be ragged too
    attention_mask : (B, L), 1 for tokens and 0 for padding, on any side; padding is not computed,
        and holds 0 in outputs; None means no padding
    token_type_ids : (B, L), which of two texts a token belongs to; None means the first
    position_ids : (B, L); None counts from the first token of each sequence
    cu_seqlens : int (S + 1), borders of S documents in input_ids (1, N), which do not see each
        other; a head for sequences then has one output for each document

    Errors are ShapeError, DTypeError and ConfigError, naming the argument, what it got and what
    was wanted.
    """

    has_token_types: ClassVar[bool] = False

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The last hidden states (N, C), which a bare model computes."""
        if self.base_model is self:
            raise NotImplementedError(f"{type(self).__name__} defines no hidden_rows")
        return self.base_model.hidden_rows(rows)

    def row_positions(self, batch: Array, sequences: Sequences, position_ids: Any) -> Array:
        """The position of each row (N,) of a batch of ids (B, L)."""
        return positions_of(sequences, position_ids)

    def rows(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        cu_seqlens: Any = None,
    ) -> Rows:
        """The tokens of a batch; the arguments are those of a call."""
        batch = as_ids("input_ids", input_ids)
        sequences = sequences_of(batch, attention_mask, cu_seqlens)
        ids = sequences.rows_of(batch)
        positions = self.row_positions(batch, sequences, position_ids)
        return Rows(ids, sequences, positions, self._types(token_type_ids, sequences), batch)

    def _types(self, token_type_ids: Any, sequences: Sequences) -> Array | None:
        if not self.has_token_types:
            if token_type_ids is not None:
                raise ConfigError(f"token_type_ids: {type(self).__name__} has none; leave them out")
            return None
        if token_type_ids is None:
            return kernels.xp(sequences.cu_seqlens).zeros(sequences.num_rows, np.int64)
        return sequences.rows_of(like_ids("token_type_ids", token_type_ids, sequences.shape))


def run_layers(
    layers: Iterable[Module],
    x: Tensor,
    sequences: Sequences,
    *beside: Tensor,
    recomputes: bool,
    **options: Any,
) -> Tensor:
    """Layers one after another, each (x, *beside, sequences=, **options) -> (x,), on x (N, C).

    recomputes : keep only what each layer is given, and run it again in the backward pass
    """
    report_state(sequences, x)
    for layer in layers:
        if recomputes:
            (x,) = recompute(layer, x, *beside, sequences=sequences, **options)
        else:
            (x,) = layer(x, *beside, sequences=sequences, **options)
        report_state(sequences, x)
    return x


class EncoderLayers(Module):
    """Layers one after another, see `run_layers`; what is beside x is the same for all."""

    def __init__(self, layers: Iterable[Module]):
        self.recomputes = False
        self.layer = list(layers)

    def forward(self, x: Tensor, sequences: Sequences, *beside: Tensor, **options: Any) -> Tensor:
        """x (N, C) to the same shape."""
        recomputes = self.recomputes and self.training
        return run_layers(self.layer, x, sequences, *beside, recomputes=recomputes, **options)


class BareEncoder(Encoder):
    """Base of encoders without a head: feature extraction."""

    model_task = "feature-extraction"
    __call__: Callable[..., BaseModelOutput]

    def pooled(self, x: Tensor, sequences: Sequences) -> Tensor | None:
        """What a sequence classifier would read (S, C), if the model has a pooler."""
        return None

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        *,
        position_ids: Any = None,
        cu_seqlens: Any = None,
    ) -> BaseModelOutput:
        """Last hidden states (B, L, C), and what the pooler makes of them. See `Encoder`."""
        with self.recording(False):
            rows = self.rows(input_ids, attention_mask, token_type_ids, position_ids, cu_seqlens)
            x = self.hidden_rows(rows)
            states = rows.sequences.batch_of(x)
            pooled = self.pooled(x, rows.sequences)
        return BaseModelOutput(last_hidden_state=states, pooler_output=pooled)

    def sentence_embeddings(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        *,
        cu_seqlens: Any = None,
        pooling: str = "mean",
        normalize: bool = True,
    ) -> Tensor:
        """One vector (B, C) a sequence, from its last hidden states; on the tape in training.

        Parameters
        ----------
        input_ids, attention_mask, token_type_ids, cu_seqlens : see `Encoder`
        pooling : "mean" of all tokens, "cls" for the first or "last" for the last one
        normalize : make all vectors 1 long, so that their products are cosines

        References
        ----------
        Reimers, Gurevych, "Sentence-BERT", 2019, arXiv:1908.10084.
        """
        with self.recording(False):
            rows = self.rows(input_ids, attention_mask, token_type_ids, None, cu_seqlens)
            pooled = pool(self.hidden_rows(rows), rows.sequences, pooling)
            return functional.normalize(pooled) if normalize else pooled
