"""What encoder-decoders share: shifted targets, the loss, cross-attention caches, generation.

A family adds `encoder_rows`, `decoder_rows` and `head_weight`, see `bart.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import functional, kernels
from ..data.batches import IGNORE_INDEX
from ..errors import ConfigError
from ..generation import GenerationMixin
from ..nn import RaggedRows, Seq2SeqCache, Sequences, join, part
from ..tape import no_grad
from ..tensor import Array, Tensor
from .inputs import as_ids, check_items, counted, like_ids, positions_of, sequences_of
from .outputs import Seq2SeqLMOutput
from .pretrained import PreTrainedModel


@dataclass(frozen=True)
class EncoderOutput:
    """What an encoder made of a batch: states (N, C) of its rows, and how they divide."""

    states: Tensor
    rows: Sequences


class Seq2SeqModel(PreTrainedModel):
    """Base of all heads on an encoder and a decoder that reads its states."""

    def encoder_rows(self, ids: Array, rows: Sequences) -> Tensor:
        """Encoder states (N, C) of source ids (N,)."""
        raise NotImplementedError(f"{type(self).__name__} defines no encoder_rows")

    def decoder_rows(
        self,
        ids: Array,
        rows: Sequences,
        positions: Array,
        encoded: EncoderOutput,
        cache: Seq2SeqCache | None,
    ) -> Tensor:
        """Decoder states (N, C) of target ids (N,), ready for the head.

        Without a cache, target sequence s reads source sequence s.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no decoder_rows")

    def encode(self, input_ids: Any, attention_mask: Any = None) -> EncoderOutput:
        """Run the encoder over source ids (B, L); its output serves any number of targets.

        In eval mode no tape is kept.

        Raises
        ------
        ShapeError, DTypeError : naming the argument, what it got and what was wanted
        """
        with self.recording(False):
            return self._encode(input_ids, attention_mask)

    def _encode(self, input_ids: Any, attention_mask: Any) -> EncoderOutput:
        ids = as_ids("input_ids", input_ids)
        rows = sequences_of(ids, attention_mask)
        with part("encoder"):
            return EncoderOutput(self.encoder_rows(rows.rows_of(ids), rows), rows)

    def _encoded(self, input_ids: Any, mask: Any, given: EncoderOutput | None) -> EncoderOutput:
        if (input_ids is None) == (given is None):
            raise ConfigError("input_ids: expected either input_ids or encoder_outputs")
        if given is not None and mask is not None:
            raise ConfigError("attention_mask: got encoder_outputs too, which know their padding")
        return self._encode(input_ids, mask) if given is None else given

    @property
    def start_token(self) -> int:
        """What the decoder reads before its first token.

        Raises
        ------
        ConfigError : the configuration names none
        """
        for name in ("decoder_start_token_id", "bos_token_id"):
            token = getattr(self.config, name)
            if token is not None:
                return token
        raise ConfigError("decoder_start_token_id: got None, expected an id in the configuration")


class Seq2SeqLM(GenerationMixin, Seq2SeqModel):
    """Base of models that write a target text while reading a source text."""

    model_task = "seq2seq-lm"
    __call__: Callable[..., Seq2SeqLMOutput]

    def head_weight(self) -> Tensor:
        """The (V, C) weight of the head."""
        raise NotImplementedError(f"{type(self).__name__} defines no head_weight")

    def head_bias(self) -> Tensor | None:
        """The (V,) bias of the head, if there is one."""
        return None

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        decoder_attention_mask: Any = None,
        labels: Any = None,
        *,
        encoder_outputs: EncoderOutput | None = None,
        num_items_in_batch: int | None = None,
        label_smoothing: float = 0.0,
        return_logits: bool | None = None,
    ) -> Seq2SeqLMOutput:
        """Logits of the decoder, and with labels the loss.

        Parameters
        ----------
        input_ids, attention_mask : source ids (B, L), and 1 for tokens, 0 for padding
        decoder_input_ids, decoder_attention_mask : the same of the target (B, M); without them
            the labels, moved right behind `decoder_start_token_id`
        labels : target ids (B, M), or `nn.RaggedRows`; -100 takes no part, and at the end of a
            row is not computed
        encoder_outputs : from `encode`, instead of input_ids
        num_items_in_batch : what the summed loss is divided by; None means the labels that count
        label_smoothing : probability spread evenly over the vocabulary
        return_logits : also compute logits beside a loss; None means in eval mode

        Raises
        ------
        ShapeError, DTypeError, ConfigError : naming the argument, what it got, what was wanted
        """
        check_items(num_items_in_batch)
        if return_logits is None:
            return_logits = labels is None or not self.training
        with self.recording(labels is not None):
            encoded = self._encoded(input_ids, attention_mask, encoder_outputs)
            ids, rows = self._targets(decoder_input_ids, decoder_attention_mask, labels)
            if rows.count != encoded.rows.count:
                raise ConfigError(
                    f"decoder_input_ids: got {rows.count} targets for {encoded.rows.count} sources"
                )
            x = self.decoder_rows(rows.rows_of(ids), rows, positions_of(rows), encoded, None)
            loss = logits = None
            if labels is not None:
                loss = functional.fused_linear_cross_entropy(
                    x,
                    self.head_weight(),
                    rows.rows_of(like_ids("labels", labels, ids.shape)),
                    self.head_bias(),
                    ignore_index=IGNORE_INDEX,
                    label_smoothing=label_smoothing,
                    num_items=num_items_in_batch,
                )
            if return_logits:
                logits = rows.batch_of(self._head(x))
            states = encoded.rows.batch_of(encoded.states)
        return Seq2SeqLMOutput(loss, logits=logits, encoder_last_hidden_state=states)

    def _targets(self, ids: Any, mask: Any, labels: Any) -> tuple[Any, Sequences]:
        """What the decoder reads (B, M), and the rows of it that are computed."""
        if ids is not None:
            array = as_ids("decoder_input_ids", ids)
            return array, sequences_of(array, mask)
        if labels is None:
            raise ConfigError("decoder_input_ids: got None, expected them or labels")
        array = as_ids("labels", labels)
        if mask is None and not isinstance(array, RaggedRows):
            mask = until_last_label(array)
        return self.shift_right(array), sequences_of(array, mask)

    def shift_right(self, labels: Any) -> Any:
        """Labels (B, M) behind the start token, as the decoder reads them; -100 becomes padding."""
        start, pad = self.start_token, self.config.pad_token_id
        if isinstance(labels, RaggedRows):
            shifted = kernels.xp(labels.values).empty_like(labels.values)
            shifted[1:] = labels.values[:-1]
            shifted[kernels.asarray(labels.sequences.first_rows(), shifted)] = start
        else:
            shifted = kernels.xp(labels).empty_like(labels)
            shifted[:, :1] = start
            shifted[:, 1:] = labels[:, :-1]
        shifted[shifted == IGNORE_INDEX] = start if pad is None else pad
        return labels.like(shifted) if isinstance(labels, RaggedRows) else shifted

    def _head(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.head_weight(), self.head_bias())

    def new_cache(self, batch: int, capacity: int, *, encoder: EncoderOutput) -> Seq2SeqCache:
        """An empty cache for targets of at most `capacity` tokens.

        `batch` is a multiple of the sources of `encoder`: the beams of a source are neighbors.
        """
        layers = self.config.num_decoder_layers
        return Seq2SeqCache(layers, batch, capacity, encoder.states, encoder.rows)

    @no_grad()
    def next_logits(self, ids: Any, cache: Seq2SeqCache) -> Array:
        """Float32 logits (B, V) of the token after each target of the cache continued by `ids`.

        Parameters
        ----------
        ids : B arrays of one or more ids each, or an array (B, n)
        cache : from `new_cache`; it takes these tokens in
        """
        flat, rows = join(list(ids))
        cache.check_room(rows)
        positions = positions_of(rows, past=cache.lengths)
        encoded = EncoderOutput(cache.encoder_states, cache.cross.sources)
        x = self.decoder_rows(flat, rows, positions, encoded, cache)
        cache.advance(rows)
        if rows.num_rows > rows.count:
            x = functional.take_rows(x, rows.last_rows())
        return self._head(x).data.astype(np.float32, copy=False)

    def count_labels(self, batch: Mapping[str, Any]) -> int:
        """How many labels of a batch (the arguments of a call) enter the loss."""
        ids, mask = batch.get("decoder_input_ids"), batch.get("decoder_attention_mask")
        ids, rows = self._targets(ids, mask, batch["labels"])
        labels = rows.rows_of(like_ids("labels", batch["labels"], ids.shape))
        return counted(labels)


def until_last_label(labels: Array) -> Array:
    """A mask (B, M) up to each row's last label, for later tokens change nothing looked at."""
    xp, M = kernels.xp(labels), labels.shape[1]
    counts = M - (labels != IGNORE_INDEX)[:, ::-1].argmax(axis=1) if M else 0
    counts = xp.where((labels == IGNORE_INDEX).all(axis=1), 1, counts)
    return xp.arange(M) < counts[:, None]
